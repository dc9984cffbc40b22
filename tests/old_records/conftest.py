"""A copy of what hpcnn 0.1.0 wrote, as the current folder of a test. ``v0_1/README.md`` says what is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

RECORDS = Path(__file__).with_name("v0_1")


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the copy; commands write into it."""
    folder = tmp_path / "old"
    shutil.copytree(RECORDS, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HPCNN_CACHE", str(folder / "cache"))
    monkeypatch.setenv("HPCNN_CONFIG", str(folder / "config"))
    return folder
