"""Wait for the end of a study's runs, and close the records that they could not close themselves."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hpcnn.rundir.close import finish
from hpcnn.study.states import RunState, look

# A run's record may be seen later than its job's end (NFS keeps what it knows of a folder for up to 60 s), and a job
# that has just ended may be in neither squeue nor sacct for a moment.
_SECONDS_WITHOUT_RECORD = 15.0
_SECONDS_UNTIL_UNKNOWN = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


def wait(paths: Sequence[Path], ended: Callable[[RunState], None]) -> list[RunState]:
    """Wait until every run in ``paths`` has ended; return their states in the order of ``paths``.

    ended: gets each state as it ends.

    A run that ended without a record (cancelled while pending, a dead node) gets one that says so. One of which
    neither Slurm nor a record knows anything counts as ended after a minute, and stays unknown.
    """
    still, found, since, pause = list(paths), {}, dict[Path, float](), _FIRST_PAUSE
    while still:
        before = len(still)
        for path, state in zip(list(still), look(still), strict=True):
            if state.alive:
                since.pop(path, None)
            elif state.recorded or _is_over(state, time.monotonic() - since.setdefault(path, time.monotonic())):
                found[path] = _closed(state)
                still.remove(path)
                ended(found[path])
        if still:
            pause = _FIRST_PAUSE if len(still) < before else min(pause * 1.5, _LONGEST_PAUSE)
            time.sleep(pause)
    return [found[path] for path in paths]


def _is_over(state: RunState, seconds: float) -> bool:
    """Return whether a run without a record, whose job ended these seconds ago, is too old to get one."""
    slurm_knows = state.job is not None and state.job.status != "unknown"
    return seconds >= (_SECONDS_WITHOUT_RECORD if slurm_knows else _SECONDS_UNTIL_UNKNOWN)


def _closed(state: RunState) -> RunState:
    if state.recorded or state.job is None or state.job.status == "unknown":
        return state
    code = state.job.exit_code or {"completed": 0, "failed": 1}.get(state.job.status, 128 + signal.SIGTERM)
    finish(state.run.path, code, reason=f"Slurm says {state.job.state}")
    result = state.run.read_result() or {}
    return replace(state, status=str(result.get("status")), reason=result.get("reason"), recorded=True)
