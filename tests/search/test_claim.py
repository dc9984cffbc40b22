"""Which trials a worker takes over: none that another worker trains, or may train."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("optuna", reason="searches need Optuna: pip install '.[search]'")

from hpcnn.search import worker
from hpcnn.search.claim import next_trial, under_way
from hpcnn.search.read import read
from hpcnn.search.storage import begin, run_of, trial_lock
from hpcnn.search.submit import queued
from hpcnn.search.table import rows
from hpcnn.search.worker import work
from hpcnn.util.files import read_json, write_json
from hpcnn.util.lock import lock
from tests.jobs.clock import Clock
from tests.scheduler.commands import Commands

if TYPE_CHECKING:
    from optuna.study import Study

    from hpcnn.search.spec import Search

SILENCE = "no answer from squeue: Unable to contact slurm controller (connect failure)"


class TwoTrials:
    """A search of two trials, both begun by workers whose locks this machine does not see: jobs 7_0 and 7_1."""

    def __init__(self, folder: Path) -> None:
        file = folder / "two.toml"
        file.write_text(
            '[search]\nmethod = "grid"\n[train]\nmodel = "scinet-cnn1"\ndata = "digits"\nepochs = 1\n'
            "[space]\nlearning_rate = [0.1, 0.2]\n"
        )
        self.search: Search = read(file)
        self.folder = folder / "two"
        self.study: Study = begin(self.search, self.folder)
        with contextlib.ExitStack() as both:
            for _ in range(2):
                claim = both.enter_context(next_trial(self.search, self.study, self.folder))
                assert claim is not None
                run_of(self.folder, claim.trial.number).path.mkdir()
        for number in range(2):
            self.owner(number, f"7_{number}")

    def owner(self, number: int, job: str | None) -> None:
        write_json(trial_lock(self.folder, number) / "owner.json", {"job_id": job})

    @contextlib.contextmanager
    def next(self) -> Iterator[int | None]:
        with next_trial(self.search, self.study, self.folder) as claim:
            yield None if claim is None else claim.trial.number

    def taken(self) -> int | None:
        with self.next() as number:
            return number

    def work(self, *, waits: bool, warnings: list[str]) -> str | None:
        return work(self.search, self.study, self.folder, "local", waits=waits, warn=warnings.append)


@pytest.fixture
def trials(tmp_path: Path) -> TwoTrials:
    return TwoTrials(tmp_path)


def test_a_trial_whose_worker_has_ended_is_taken_over(trials: TwoTrials, slurm_commands: Commands) -> None:
    slurm_commands.squeue("7_0|RUNNING")
    slurm_commands.sacct("7_1|NODE_FAIL")
    assert under_way(trials.study, trials.folder).trials == [0]
    with trials.next() as number:
        assert number == 1
        assert read_json(trial_lock(trials.folder, 1) / "owner.json") is not None
    assert len(slurm_commands.calls("squeue")) == 2  # one call for all trials, each time


def test_a_worker_that_is_requeued_takes_what_is_left_then(trials: TwoTrials, slurm_commands: Commands) -> None:
    slurm_commands.squeue("7_0|PENDING", "7_1|RUNNING")
    slurm_commands.sacct()
    assert trials.taken() == 0


def test_without_an_answer_nothing_is_taken_over(trials: TwoTrials, slurm_commands: Commands) -> None:
    slurm_commands.fail("squeue")
    slurm_commands.sacct("7_0|RUNNING", "7_1|NODE_FAIL")
    found = under_way(trials.study, trials.folder)
    assert (found.trials, found.in_doubt, found.no_answer) == ([0], [1], SILENCE)
    assert trials.taken() is None


def test_nor_on_a_machine_without_slurm(trials: TwoTrials, slurm_commands: Commands) -> None:
    found = under_way(trials.study, trials.folder)
    assert (found.trials, found.in_doubt) == ([], [0, 1])
    assert found.no_answer == "no answer from squeue: squeue is not on this machine"
    assert trials.taken() is None


def test_accounts_are_not_needed_for_it(trials: TwoTrials, slurm_commands: Commands) -> None:
    slurm_commands.squeue()
    slurm_commands.fail("sacct")
    assert trials.taken() == 0


def test_a_worker_of_this_machine_or_of_this_job_needs_no_scheduler(
    trials: TwoTrials, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials.owner(0, None)
    monkeypatch.setenv("SLURM_JOB_ID", "7_1")
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    found = under_way(trials.study, trials.folder)
    assert (found.trials, found.in_doubt, found.no_answer) == ([], [], "")
    assert slurm_commands.calls("squeue") == []


def test_a_trial_that_is_locked_here_needs_none(trials: TwoTrials, slurm_commands: Commands) -> None:
    with lock(trial_lock(trials.folder, 0)), lock(trial_lock(trials.folder, 1)):
        found = under_way(trials.study, trials.folder)
    assert (found.trials, found.in_doubt, found.no_answer) == ([0, 1], [], "")


def test_a_trial_that_another_worker_has_just_taken_is_left_alone(
    trials: TwoTrials, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the query and the choice, which the scheduler does not hold up."""
    slurm_commands.squeue()
    slurm_commands.sacct()
    from hpcnn.search import claim

    asked = claim._jobs_of_workers

    def and_then_taken(study: Study, folder: Path) -> object:
        found = asked(study, folder)
        trials.owner(0, "9")
        return found

    monkeypatch.setattr(claim, "_jobs_of_workers", and_then_taken)
    assert trials.taken() == 1


class TestWork:
    def test_a_worker_that_does_not_wait_says_what_it_left(self, trials: TwoTrials, slurm_commands: Commands) -> None:
        slurm_commands.fail("squeue")
        why = trials.work(waits=False, warnings=[])
        assert why == f"not taken over, since another job may train it: trial 0, 1 ({SILENCE})"

    def test_one_that_waits_is_patient_and_not_for_ever(
        self, trials: TwoTrials, slurm_commands: Commands, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker, "time", clock)
        slurm_commands.fail("squeue")
        warnings: list[str] = []
        why = trials.work(waits=True, warnings=warnings)
        assert why == f"not taken over, since another job may train it: trial 0, 1 ({SILENCE})"
        assert warnings == [f"{SILENCE}; still waiting, for 30 minutes at most"]
        assert 1800 <= clock.now < 1900
        assert clock.pauses == sorted(clock.pauses)
        assert clock.pauses[-1] == 30.0

    def test_the_trials_of_others_are_waited_for(
        self, trials: TwoTrials, slurm_commands: Commands, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker, "time", clock)
        slurm_commands.squeue("7_0|RUNNING", "7_1|RUNNING")

        def end_both() -> None:
            for number in range(2):
                trials.study.tell(number, 0.5)

        clock.at(20, end_both)
        warnings: list[str] = []
        assert trials.work(waits=True, warnings=warnings) is None
        assert (set(clock.pauses), warnings) == ({1.0}, [])
        assert 20 <= clock.now <= 21


class TestTable:
    def test_a_trial_in_doubt_is_unknown_with_a_reason(self, trials: TwoTrials, slurm_commands: Commands) -> None:
        slurm_commands.fail("squeue")
        slurm_commands.sacct("7_0|RUNNING")
        found = [(row["state"], row["reason"]) for row in rows(trials.search, trials.study, trials.folder)]
        assert found == [("running", None), ("unknown", SILENCE)]

    def test_what_was_cut_off_is_interrupted(self, trials: TwoTrials, slurm_commands: Commands) -> None:
        slurm_commands.squeue()
        assert [row["state"] for row in rows(trials.search, trials.study, trials.folder)] == ["interrupted"] * 2


class TestQueued:
    def test_workers_are_counted_in_the_queue(self, trials: TwoTrials, slurm_commands: Commands) -> None:
        assert queued(trials.folder) == 0
        assert slurm_commands.calls("squeue") == []
        write_json(trials.folder / "workers" / "first" / "job.json", {"job_id": "7"})
        slurm_commands.squeue("7_0|RUNNING", "7_1|PENDING", "7_2|FAILED", "8|RUNNING")
        assert queued(trials.folder) == 2
