"""A tuning that was cut off can be begun again in its folder: its trials stay, and have other numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from hpcnn.machine.tune.trials import Trials


def test_trials_that_are_there_stay(tmp_path: Path) -> None:
    for name in ("001", "003"):
        (tmp_path / name).mkdir()
    (tmp_path / "004").symlink_to("nowhere")
    trials = Trials(cast(Any, None), tmp_path)
    assert [trials._next_folder().name for _ in range(3)] == ["002", "005", "006"]
