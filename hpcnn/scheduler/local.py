"""This machine without a scheduler: a job runs at once, as long as the command that started it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hpcnn.scheduler import bash
from hpcnn.scheduler.api import JobState, Queue, Usage
from hpcnn.scheduler.states import UNKNOWN
from hpcnn.util.errors import UsageError


class Local:
    """Runs job scripts by bash; refuses what needs a queue."""

    queues = False
    this_machine_only = True
    writes_directives = False
    has_arrays = False

    def run(self, script: Path, log: Path, on_line: Callable[[str], None] | None = None) -> int:
        """Run a script to its end; return its exit status."""
        return bash.run(script, log, on_line)

    def submit(self, script: Path, options: Sequence[str] = (), keep_open: Sequence[int] = ()) -> str:
        """Refuse to submit."""
        raise _no_queue()

    def submitted(self, scripts: Sequence[str]) -> dict[str, list[JobState]]:
        """Return no job of any script."""
        return {script: [] for script in scripts}

    def would_start(self, script: str, options: Sequence[str] = ()) -> str:
        """Refuse to predict a start."""
        raise _no_queue()

    def query(self, jobs: Sequence[str], queue: Queue | None = None) -> dict[str, JobState]:
        """Return that each job is unknown: jobs on this machine have no ids."""
        return {job: JobState(job, UNKNOWN, UNKNOWN) for job in jobs}

    def cancel(self, jobs: Sequence[str]) -> None:
        """Refuse to cancel."""
        raise _no_queue()

    def current_job(self, environment: Mapping[str, str]) -> str | None:
        """Return None: jobs on this machine have no ids."""
        return None

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the environment as it is."""
        return dict(inherited)

    def available(self) -> bool:
        """Return True: bash is all that it needs."""
        return True

    def queue(self) -> dict[str, JobState]:
        """Return an empty queue."""
        return {}

    def after(self, jobs: str) -> list[str]:
        """Refuse to wait for a job."""
        raise _no_queue()

    def array_limit(self) -> int | None:
        """Return 0: there are no arrays."""
        return 0

    def energies(self, jobs: Sequence[str]) -> dict[str, float]:
        """Return nothing: no energy is accounted for."""
        return {}

    def usage(self, jobs: Sequence[str]) -> dict[str, Usage]:
        """Return nothing: there are no accounts."""
        return {}


def _no_queue() -> UsageError:
    return UsageError("this machine has no queue: --site names a cluster that has one")
