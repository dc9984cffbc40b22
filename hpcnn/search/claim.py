"""Claim the next trial of a worker: an interrupted one, else a new one. No trial has two workers.

The worker of a trial and the training itself hold a lock, which the kernel releases when both have ended. A running
trial without a lock was interrupted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.scheduler import batch_scheduler
from hpcnn.scheduler.api import JobState
from hpcnn.search.result import record_outcome
from hpcnn.search.sampling import distributions, sampler
from hpcnn.search.spec import Search
from hpcnn.search.storage import SECONDS_TO_CHOOSE, choosing_lock, trial_lock
from hpcnn.util.errors import HpcnnError
from hpcnn.util.files import read_json, write_json
from hpcnn.util.lock import held, lock
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial


@dataclass(frozen=True)
class Claim:
    """A trial that only this process may train, while ``lock`` is open here or in the training."""

    trial: Trial
    lock: int


@contextlib.contextmanager
def next_trial(search: Search, study: Study, folder: Path) -> Iterator[Claim | None]:
    """Hold the next trial; None if none is left."""
    with contextlib.ExitStack() as kept:
        jobs = _jobs_of_workers(study, folder)  # before others must wait: the scheduler may take its time
        with lock(choosing_lock(folder), SECONDS_TO_CHOOSE):
            trial = _interrupted(search, study, folder, kept, jobs) or _new(search, study, folder, kept)
        yield trial
        if trial is not None:
            _owner(folder, trial.trial.number).unlink(missing_ok=True)


@dataclass(frozen=True)
class UnderWay:
    """The trials that other workers train, and those that they may train.

    no_answer: why the scheduler does not say whether the workers of the latter still run.
    """

    trials: list[int]
    in_doubt: list[int]
    no_answer: str


def under_way(study: Study, folder: Path) -> UnderWay:
    """Return the numbers of the trials that other workers train, or may train."""
    jobs = _jobs_of_workers(study, folder)
    held_trials = [trial.number for trial in _running(study) if _is_held(folder, trial.number, jobs)]
    in_doubt = [number for number in held_trials if _is_in_doubt(folder, number, jobs)]
    reason = next((state.no_answer for state in jobs.values() if not state.queue_answered), "")
    return UnderWay([number for number in held_trials if number not in in_doubt], in_doubt, reason)


def _interrupted(
    search: Search, study: Study, folder: Path, kept: contextlib.ExitStack, jobs: Mapping[str, JobState]
) -> Claim | None:
    """Claim an interrupted trial; the outcome of a trial that ended is recorded on the way."""
    from optuna.trial import Trial

    for frozen in _running(study):
        if _is_held(folder, frozen.number, jobs):
            continue
        claim = _claimed(Trial(study, frozen._trial_id), folder, kept)
        if claim and record_outcome(search, study, claim.trial, folder) is None:
            return claim
    return None


def _new(search: Search, study: Study, folder: Path, kept: contextlib.ExitStack) -> Claim | None:
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
    number = waiting[0] if waiting else len(trials)
    if number >= search.trials:
        return None
    study.sampler = sampler(search, number)
    return _claimed(study.ask(distributions(search)), folder, kept)


def _claimed(trial: Trial, folder: Path, kept: contextlib.ExitStack) -> Claim | None:
    try:
        descriptor = kept.enter_context(lock(trial_lock(folder, trial.number)))
    except HpcnnError:  # another worker was faster
        return None
    facts: dict[str, Json] = {"job_id": batch_scheduler().current_job(os.environ), "process": os.getpid()}
    write_json(_owner(folder, trial.number), facts, durable=False)
    return Claim(trial, descriptor)


def _running(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def _jobs_of_workers(study: Study, folder: Path) -> dict[str, JobState]:
    """Query, in one call, the jobs of the workers whose locks this machine does not see; return their states by id."""
    unlocked = (trial.number for trial in _running(study) if not held(trial_lock(folder, trial.number)))
    jobs = {job for job in (_job_of_worker(folder, number) for number in unlocked) if job}
    return batch_scheduler().query(sorted(jobs))


def _is_held(folder: Path, number: int, jobs: Mapping[str, JobState]) -> bool:
    """Return whether a worker trains a trial: by its lock, or by the worker's job if locks are local to a node.

    It counts as held if the queue gave no answer, or if a worker claimed it after the query.
    """
    if held(trial_lock(folder, number)):
        return True
    job = _job_of_worker(folder, number)
    if job is None:
        return False
    state = jobs.get(job)
    return state is None or state.status == "running" or not state.queue_answered


def _is_in_doubt(folder: Path, number: int, jobs: Mapping[str, JobState]) -> bool:
    """Whether a trial counts as held for the one reason that the queue gives no answer."""
    state = jobs.get(_job_of_worker(folder, number) or "")
    if state is None or state.queue_answered or state.status == "running":
        return False
    return not held(trial_lock(folder, number))


def _job_of_worker(folder: Path, number: int) -> str | None:
    """Return the job of the worker that has taken a trial; None where it is this process's own, or no job."""
    job = (read_json(_owner(folder, number)) or {}).get("job_id")
    return None if not job or job == batch_scheduler().current_job(os.environ) else str(job)


def _owner(folder: Path, number: int) -> Path:
    return trial_lock(folder, number) / "owner.json"
