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

from hpcnn.scheduler import slurm
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
        with lock(choosing_lock(folder), SECONDS_TO_CHOOSE):
            trial = _interrupted(search, study, folder, kept) or _new(search, study, folder, kept)
        yield trial
        if trial is not None:
            _owner(folder, trial.trial.number).unlink(missing_ok=True)


def under_way(study: Study, folder: Path) -> list[int]:
    """Return the numbers of the trials that workers train."""
    return [trial.number for trial in _running(study) if _is_held(folder, trial.number)]


def slurm_job(environment: Mapping[str, str]) -> str | None:
    """Return the id of the Slurm job of this process, as squeue prints it."""
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID")


def _interrupted(search: Search, study: Study, folder: Path, kept: contextlib.ExitStack) -> Claim | None:
    """Claim an interrupted trial; the outcome of a trial that ended is recorded on the way."""
    from optuna.trial import Trial

    for frozen in _running(study):
        if _is_held(folder, frozen.number):
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
    facts: dict[str, Json] = {"job_id": slurm_job(os.environ), "process": os.getpid()}
    write_json(_owner(folder, trial.number), facts, durable=False)
    return Claim(trial, descriptor)


def _running(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def _is_held(folder: Path, number: int) -> bool:
    """Return whether a worker trains a trial: by its lock, or by the worker's job if locks are local to a node."""
    if held(trial_lock(folder, number)):
        return True
    job = (read_json(_owner(folder, number)) or {}).get("job_id")
    if not job or job == slurm_job(os.environ) or not slurm.available():
        return False
    return slurm.query([str(job)])[str(job)].status == "running"


def _owner(folder: Path, number: int) -> Path:
    return trial_lock(folder, number) / "owner.json"
