"""A folder of runs that a group shares, in which one run may be read by its owner alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpcnn.cli.main import main
from tests.closed import as_another_user, shared_folder
from tests.scheduler.commands import Commands
from tests.synthetic.runs import write_run

REASON = "permission denied"


@pytest.fixture(autouse=True)
def runs() -> Iterator[None]:
    with shared_folder():
        for number in (1, 2, 3):
            write_run(Path(f"runs/study/run-{number}"))
        Path("runs/study/run-2/job.json").write_text('{"job_id": "5", "site": "local"}')
        for file in Path("runs/study/run-2").iterdir():
            file.chmod(0)
        Path("runs/study/run-3").chmod(0)
        yield


def hpcnn(*words: str) -> Result:
    CliRunner().invoke(main, words)  # imports what it needs: Python itself may be closed to the other user
    with as_another_user():
        return CliRunner().invoke(main, words)


@pytest.mark.parametrize("words", [("status",), ("runs",), ("top", "--once"), ("logs", "runs")])
def test_the_others_are_shown_and_what_is_left_out_is_said(words: tuple[str, ...]) -> None:
    ended = hpcnn(*words)
    assert "Traceback" not in ended.output
    assert "run-1" in ended.output
    for number in (2, 3):
        assert any(f"run-{number}" in line and REASON in line for line in ended.stderr.splitlines()), ended.stderr


def test_the_state_of_a_closed_run_of_a_study_is_unknown() -> None:
    ended = hpcnn("study", "status", "runs/study")
    assert ended.exit_code == 0, ended.output
    assert "1 completed, 1 unknown" in ended.output
    assert f"{REASON} (run-2)" in ended.output


@pytest.mark.parametrize("command", ["status", "runs"])
def test_a_run_that_is_named_is_refused_with_the_reason(command: str) -> None:
    ended = hpcnn(command, "runs/study/run-2")
    assert ended.exit_code == 2
    assert REASON in ended.output


def test_a_report_leaves_it_out() -> None:
    ended = hpcnn("scaling-report", "runs")
    assert ended.exit_code == 0, ended.output
    assert "Left out (2)" in ended.output


@pytest.mark.parametrize("number", [2, 3])
def test_a_run_that_is_to_be_cancelled_is_refused_with_the_reason(number: int) -> None:
    named = hpcnn("cancel", f"runs/study/run-{number}")
    assert (named.exit_code, named.stdout) == (2, "")
    assert f"runs/study/run-{number}" in named.stderr
    assert REASON in named.stderr


def test_of_a_folder_the_other_jobs_are_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm_commands = Commands(Path("bin").absolute())
    slurm_commands.folder.mkdir()
    slurm_commands.folder.chmod(0o777)
    monkeypatch.setenv("PATH", str(slurm_commands.folder))
    Path("runs/study/run-1/job.json").write_text('{"job_id": "4"}')
    Path("runs/study/run-1/result.json").unlink()
    slurm_commands.squeue("4|RUNNING")
    slurm_commands.put("scancel")
    ended = hpcnn("cancel", "runs/study")
    assert (ended.exit_code, ended.stdout) == (0, "cancelled: 4\n"), ended.output
    for number in (2, 3):
        assert any(f"run-{number}" in line and "left out" in line for line in ended.stderr.splitlines()), ended.stderr
