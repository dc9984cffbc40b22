"""Job scripts on this machine: what a job said before it was interrupted is in its log."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hpcnn.scheduler import bash


def test_what_a_job_said_before_it_was_interrupted_is_in_its_log(tmp_path: Path) -> None:
    script, log = tmp_path / "job.sh", tmp_path / "log.out"
    script.write_text("echo one\necho two\nsleep 60\n")

    def interrupt(line: str) -> None:
        time.sleep(0.5)  # the second line is in the pipe by then
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bash.run(script, log, interrupt)
    assert log.read_text() == "one\ntwo\n"
