"""Waiting for the runs of a study: while they run, and while the scheduler gives no answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.study.states import RunState
from hpcnn.study.wait import wait
from hpcnn.util.files import write_json
from tests.jobs.clock import Clock
from tests.scheduler.commands import Commands


class Watched:
    """A wait for two runs: what it tells, and when."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.clock = clock
        self.runs = [RunDir(folder / name) for name in ("one", "two")]
        self.ended: list[str] = []
        self.warnings: list[str] = []
        for number, run in enumerate(self.runs):
            run.create()
            write_json(run.spec, {"point": {}})
            write_json(run.job, {"job_id": f"7_{number}"})

    def wait(self) -> list[tuple[str, str | None]]:
        def told(state: RunState) -> None:
            self.ended.append(f"{state.run.path.name}: {state.status}")

        found = wait([run.path for run in self.runs], told, self.warnings.append)
        return [(state.status, state.reason) for state in found]


@pytest.fixture
def watched(tmp_path: Path, clock: Clock) -> Watched:
    return Watched(tmp_path, clock)


def test_the_wait_goes_on_while_the_scheduler_is_silent(watched: Watched, slurm_commands: Commands) -> None:
    slurm_commands.squeue("7_0|RUNNING", "7_1|RUNNING")
    slurm_commands.sacct()
    watched.clock.at(10, slurm_commands.fail, "squeue")
    watched.clock.at(400, slurm_commands.squeue, "7_0|RUNNING", "7_1|FAILED")
    watched.clock.at(500, watched.runs[0].write_result, "completed")
    assert watched.wait() == [("completed", None), ("failed", "Slurm says FAILED")]
    assert watched.ended == ["two: failed", "one: completed"]
    reason = "no answer from squeue: Unable to contact slurm controller (connect failure)"
    assert watched.warnings == [f"{reason}; still waiting, for 30 minutes at most", "the scheduler answers again"]
    assert RunDir(watched.runs[1].path).read_result() is not None


def test_pauses_grow(watched: Watched, slurm_commands: Commands) -> None:
    slurm_commands.fail("squeue")
    watched.clock.at(300, slurm_commands.squeue, "7_0|FAILED", "7_1|FAILED")
    watched.wait()
    pauses = watched.clock.pauses[: watched.clock.pauses.index(30.0)]
    assert pauses == sorted(pauses)
    assert len(pauses) < 12


def test_but_not_for_ever(watched: Watched, slurm_commands: Commands) -> None:
    """Nothing is recorded of a job that may be running."""
    slurm_commands.fail("squeue")
    found = watched.wait()
    assert [status for status, _ in found] == ["unknown"] * 2
    assert all(reason and reason.startswith("no answer from squeue: ") for _, reason in found)
    assert 1800 <= watched.clock.now < 1900
    assert not any(run.result.exists() for run in watched.runs)


def test_an_interrupted_run_may_be_requeued_meanwhile(watched: Watched, slurm_commands: Commands) -> None:
    for run in watched.runs:
        run.write_result("interrupted", exit_code=75)
    slurm_commands.fail("squeue")
    watched.clock.at(200, slurm_commands.squeue, "7_0|RUNNING", "7_1|COMPLETED")
    watched.clock.at(300, watched.runs[0].write_result, "completed")
    assert [status for status, _ in watched.wait()] == ["completed", "interrupted"]
    assert watched.ended == ["two: interrupted", "one: completed"]


def test_accounts_that_are_silent_are_waited_for_five_minutes(watched: Watched, slurm_commands: Commands) -> None:
    slurm_commands.squeue()
    slurm_commands.fail("sacct")
    found = watched.wait()
    assert [status for status, _ in found] == ["unknown"] * 2
    assert all(reason and reason.startswith("no answer from sacct: ") for _, reason in found)
    assert 300 <= watched.clock.now < 360
    assert watched.warnings[0].endswith("; still waiting, for 5 minutes at most")


def test_a_job_that_the_scheduler_answers_not_to_know_is_over_after_a_minute(
    watched: Watched, slurm_commands: Commands
) -> None:
    slurm_commands.squeue()
    slurm_commands.sacct()
    assert [status for status, _ in watched.wait()] == ["unknown"] * 2
    assert 60 <= watched.clock.now < 100
    assert watched.warnings == []


def test_a_job_that_died_without_a_record_gets_one(watched: Watched, slurm_commands: Commands) -> None:
    slurm_commands.squeue()
    slurm_commands.sacct("7_0|NODE_FAIL|00:00:01|n1|1:0", "7_1|CANCELLED by 0|00:00:01|n1|0:15")
    found = watched.wait()
    assert found == [("failed", "Slurm says NODE_FAIL"), ("interrupted", "Slurm says CANCELLED by 0")]
    assert 15 <= watched.clock.now < 30
    assert [(run.read_result() or {})["exit_code"] for run in watched.runs] == [1, 143]
