"""Schedulers, which run job scripts: one interface (``api.py``), one file an implementation, chosen here by name.

Callers ask a scheduler for what it can do (``queues``, ``has_arrays`` ...), and never which one it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from hpcnn.scheduler.api import Scheduler


def _local() -> Scheduler:
    from hpcnn.scheduler.local import Local

    return Local()


def _slurm() -> Scheduler:
    from hpcnn.scheduler.slurm import Slurm

    return Slurm()


_SCHEDULERS: dict[str, Callable[[], Scheduler]] = {"local": _local, "slurm": _slurm}

# The values of the key `scheduler` of a site profile.
NAMES = tuple(_SCHEDULERS)


@cache
def scheduler_of(name: str) -> Scheduler:
    """Return the scheduler that a site profile names. Imports the file of this one alone."""
    return _SCHEDULERS[name]()


def batch_scheduler() -> Scheduler:
    """Return the scheduler with a queue, to look up a job by its id alone."""
    return scheduler_of("slurm")


def job_lives(job_id: str) -> bool | None:
    """Return whether a job waits or runs; None where the scheduler gives no answer."""
    state = batch_scheduler().query([job_id])[job_id]
    return True if state.alive else None if state.may_be_alive else False
