"""Schedulers: what runs job scripts. One interface (``api.py``), one file an implementation, chosen here by name.

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
    """Return the scheduler that a site profile names. Imports its file now, and no other."""
    return _SCHEDULERS[name]()


def batch_scheduler() -> Scheduler:
    """Return the scheduler to ask for a job of which only the id is known: the one that has a queue."""
    return scheduler_of("slurm")
