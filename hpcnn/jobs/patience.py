"""Bound the wait for jobs whose state is unknown, warn the user of a silent scheduler, and try again to submit.

A scheduler that gives no answer for a while (a restart, a busy controller) must not end a wait, since its jobs go on;
one that never answers again must not hang it for ever.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpcnn.scheduler.api import JobState, Refused, Scheduler

# A job that has just ended may be in neither squeue nor sacct for a moment, so unknown is believed only after a while.
SECONDS_UNTIL_UNKNOWN = 60.0
SECONDS_WITHOUT_QUEUE = 1800.0
# The job has left the queue then, and only how it ended is open.
SECONDS_WITHOUT_ACCOUNTS = 300.0


def seconds_to_believe(state: JobState) -> float:
    """Return how long a state must last before a wait believes that the job has ended."""
    if not state.queue_answered:
        return SECONDS_WITHOUT_QUEUE
    if state.no_answer:
        return SECONDS_WITHOUT_ACCOUNTS
    return SECONDS_UNTIL_UNKNOWN if state.unknown else 0.0


# Two minutes in all: a controller that is restarted, or has too many requests at once.
PAUSES_OF_SUBMITTING = (2.0, 4.0, 8.0, 16.0, 30.0, 60.0)


def say(line: str) -> None:
    """Write a line to standard error."""
    print(line, file=sys.stderr, flush=True)


def submit_patiently(
    scheduler: Scheduler,
    script: Path,
    options: Sequence[str],
    warn: Callable[[str], None] = say,
    keep_open: Sequence[int] = (),
) -> str:
    """Submit a script, again after growing pauses where the refusal is one that passes; return the job id.

    Raises HpcnnError for another refusal, and after the last pause.
    """
    for pause in PAUSES_OF_SUBMITTING:
        try:
            return scheduler.submit(script, options, keep_open)
        except Refused as error:
            warn(f"{error}; trying again in {pause:g} s")
            time.sleep(pause)
    return scheduler.submit(script, options, keep_open)


@dataclass
class Patience:
    """Clocks for one job: how long it has been in each state that may not be its last."""

    _since: dict[float, float] = field(default_factory=dict, init=False)

    def is_over(self, limit: float) -> bool:
        """Return whether ``limit``, the bound of the job's present state, has passed since it was first in that state.

        States with different bounds have clocks of their own: the minute of unknown starts with the first such answer.
        """
        now = time.monotonic()
        return now - self._since.setdefault(limit, now) >= limit

    def reset(self) -> None:
        """Stop all clocks: the job is alive."""
        self._since.clear()


@dataclass
class Silence:
    """Warn the user once when the scheduler stops answering, and once when it answers again."""

    warn: Callable[[str], None]
    _last: str = field(default="", init=False)

    def note(self, no_answer: str, seconds: float) -> None:
        """Take the outcome of a query: why it got no answer (empty for an answer), and how long to wait for one."""
        if no_answer and not self._last:
            self.warn(f"{no_answer}; still waiting, for {seconds / 60:.0f} minutes at most")
        elif self._last and not no_answer:
            self.warn("the scheduler answers again")
        self._last = no_answer
