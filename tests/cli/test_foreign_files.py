"""A folder of runs in which somebody has put what is no file: the other runs are shown all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from tests.synthetic.runs import write_run
from tests.util.test_files import OTHERS

NAMES = ("spec.json", "result.json", "job.json", "provenance.json", "epochs.rank00000.jsonl", "events.jsonl", "log.out")
STUDY = ".lock"
LOOKS = ("status", "runs", "top --once", "scaling-report runs --format json", "study status runs/study --each")


@pytest.mark.parametrize("make", OTHERS)
def test_one_of_each_does_not_hide_the_others(make: Callable[[Path], None], here: Path) -> None:
    """Of each run but the first, one file is none."""
    for number, name in enumerate(("", *NAMES)):
        run = write_run(Path(f"runs/study/run-{number}"))
        if name:
            (run.path / name).unlink(missing_ok=True)
            make(run.path / name)
    make(Path("runs/study") / STUDY)
    for words in LOOKS:
        ended = CliRunner().invoke(main, words.split())
        assert ended.exit_code == 0, (words, ended.output, ended.exception)
        assert "run-0" in ended.output or "scaling-report" in words, words
