"""Waiting for one job and following its log, whatever squeue and sacct answer, and while they give no answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcnn.jobs import patience
from hpcnn.jobs.watch import watch
from hpcnn.rundir.layout import RunDir
from hpcnn.scheduler.api import NoAnswer
from tests.jobs.clock import Clock
from tests.scheduler.commands import Commands

SILENCE = "no answer from squeue: Unable to contact slurm controller (connect failure)"


class Watched:
    """The watch of one job: the lines of its log, and the warnings."""

    def __init__(self, folder: Path) -> None:
        self.run, self.lines, self.warnings = RunDir(folder / "run"), list[str](), list[str]()
        self.run.create()

    def watch(self, *, follow: bool = True) -> int:
        return watch("7", self.run, self.warnings.append, on_line=self.lines.append if follow else None)

    def write(self, text: str) -> None:
        with self.run.log.open("a") as file:
            file.write(text)

    @property
    def record(self) -> tuple[object, ...]:
        result = self.run.read_result() or {}
        return result.get("status"), result.get("exit_code"), result.get("reason")


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_the_log_is_followed_to_the_end_of_the_job(watched: Watched, clock: Clock, slurm_commands: Commands) -> None:
    slurm_commands.squeue("7|PENDING")
    clock.at(2, slurm_commands.squeue, "7|RUNNING")
    clock.at(3, watched.write, "one\nhalf a ")
    clock.at(4, watched.write, "line\n")
    clock.at(5, lambda: watched.run.write_result("failed", exit_code=3, reason="why"))
    clock.at(5, slurm_commands.squeue, "7|FAILED")
    clock.at(5, watched.write, "end\n")
    assert watched.watch() == 3
    assert watched.lines == ["one", "half a line", "end"]
    assert watched.record == ("failed", 3, "why")
    assert (set(clock.pauses), watched.warnings) == ({0.5}, [])


@pytest.mark.parametrize(
    ("accounts", "code", "status"),
    [
        ("7|COMPLETED|00:00:01|n1|0:0", 0, "completed"),
        ("7|FAILED|00:00:01|n1|4:0", 4, "failed"),
        ("7|NODE_FAIL|00:00:01|n1|0:0", 1, "failed"),
        ("7|TIMEOUT|00:00:01|n1|0:0", 143, "interrupted"),
        ("7|CANCELLED by 0|00:00:01|n1|0:9", 137, "interrupted"),
    ],
)
def test_a_job_without_a_record_gets_one(
    accounts: str, code: int, status: str, watched: Watched, clock: Clock, slurm_commands: Commands
) -> None:
    slurm_commands.squeue()
    slurm_commands.sacct(accounts)
    assert watched.watch() == code
    assert watched.record == (status, code, f"Slurm says {accounts.split('|')[1]}")
    assert clock.now == 0


def test_a_job_that_slurm_answers_not_to_know_is_given_up_after_a_minute(
    watched: Watched, clock: Clock, slurm_commands: Commands
) -> None:
    slurm_commands.squeue()
    slurm_commands.sacct()
    assert watched.watch(follow=False) == 1
    assert 60 <= clock.now < 80
    assert (watched.record, watched.warnings) == ((None, None, None), [])


def test_silence_is_told_once_and_ends_nothing(watched: Watched, clock: Clock, slurm_commands: Commands) -> None:
    slurm_commands.squeue("7|RUNNING")
    clock.at(5, slurm_commands.fail, "squeue")
    clock.at(400, slurm_commands.squeue, "7|RUNNING")
    clock.at(417, slurm_commands.remove, "squeue")
    clock.at(500, slurm_commands.squeue, "7|COMPLETED")
    clock.at(500, lambda: watched.run.write_result("completed", exit_code=0))
    assert watched.watch() == 0
    assert watched.warnings == [
        f"{SILENCE}; still waiting, for 30 minutes at most",
        "the scheduler answers again",
        "no answer from squeue: squeue is not on this machine; still waiting, for 30 minutes at most",
    ]
    silent = [pause for pause in clock.pauses if pause > 0.5]
    assert max(silent) == 15.0
    assert len(silent) < 50


def test_it_ends_at_last_and_records_nothing(
    watched: Watched, clock: Clock, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SECONDS_WITHOUT_QUEUE", 300.0)
    slurm_commands.fail("squeue")
    slurm_commands.sacct("7|NODE_FAIL|00:00:01|n1|1:0")  # so do the accounts show a job that Slurm requeues
    with pytest.raises(NoAnswer) as raised:
        watched.watch()
    assert str(raised.value) == f"job 7: {SILENCE}; it may be running (hpcnn status 7)"
    assert 300 <= clock.now < 330
    assert not watched.run.result.exists()


def test_a_record_is_an_end_without_an_answer(watched: Watched, clock: Clock, slurm_commands: Commands) -> None:
    slurm_commands.fail("squeue")
    clock.at(20, lambda: watched.run.write_result("completed", exit_code=0))
    assert watched.watch() == 0
    assert clock.now < 40


def test_but_for_one_that_may_be_requeued(
    watched: Watched, clock: Clock, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm_commands.fail("squeue")
    watched.run.write_result("interrupted", exit_code=75)
    clock.at(100, slurm_commands.squeue, "7|PENDING")
    clock.at(120, lambda: watched.run.write_result("completed", exit_code=0))
    clock.at(120, slurm_commands.squeue, "7|COMPLETED")
    assert watched.watch() == 0
    slurm_commands.fail("squeue")
    watched.run.write_result("interrupted", exit_code=75)
    monkeypatch.setattr(patience, "SECONDS_WITHOUT_QUEUE", 30.0)
    with pytest.raises(NoAnswer, match="it may be running"):
        watched.watch()


def test_an_interrupted_job_that_has_left_the_queue_is_over(
    watched: Watched, clock: Clock, slurm_commands: Commands
) -> None:
    slurm_commands.squeue()
    watched.run.write_result("interrupted", exit_code=75)
    assert watched.watch() == 75
    assert clock.now == 0


def test_silent_accounts_are_waited_for_five_minutes(watched: Watched, clock: Clock, slurm_commands: Commands) -> None:
    slurm_commands.squeue()
    slurm_commands.fail("sacct")
    with pytest.raises(
        NoAnswer, match=r"^job 7: no answer from sacct: .*; how it ended is unknown \(hpcnn status 7\)$"
    ):
        watched.watch()
    assert 300 <= clock.now < 330
    slurm_commands.fail("sacct")
    clock.at(clock.now + 100, slurm_commands.sacct, "7|FAILED|00:00:01|n1|4:0")
    assert watched.watch() == 4
