"""Bring the records of runs up to what the scheduler alone knows of the ends of their jobs. Must not ask it."""

from __future__ import annotations

import contextlib
import re

from hpcnn.rundir.close import finish, name_cause
from hpcnn.rundir.layout import RefusedRunDir, RunDir
from hpcnn.rundir.memory import OUT_OF_MEMORY
from hpcnn.rundir.owner import died_in, own
from hpcnn.scheduler.api import JobState


def settle(run: RunDir, state: JobState) -> None:
    """Record what the scheduler says of a job that has ended, where the record of its run lacks it.

    A job that was killed while it was at work gets the record that it could not write: over its memory or its time, or
    with its node. A run that failed gets out of memory as its cause. Any other record stays as it is, and so does the
    directory of another user, or one in which another attempt is at work.
    """
    if state.may_be_alive or state.no_answer or state.status not in ("failed", "interrupted"):
        return
    with contextlib.suppress(OSError, RefusedRunDir):
        if not _lacks_something(run, state):
            return
        with own(run.path, lambda job: False if job == state.job_id else None):
            if run.read_result() is None:
                finish(run.path, state.exit_status, reason=state.cause, ended=state.status)
            elif state.ran_out_of_memory:
                name_cause(run, state.cause)


def _lacks_something(run: RunDir, state: JobState) -> bool:
    result = run.read_result()
    if result is None:
        return died_in(run.path, state.job_id, _first_node(state.nodes))
    is_named = OUT_OF_MEMORY in str(result.get("reason"))
    return state.ran_out_of_memory and result.get("status") == "failed" and not is_named


def _first_node(nodes: str) -> str:
    """Return the first of ``c[1-2,7]`` or ``c1,d2``, where Slurm runs the script of a job."""
    return re.sub(r"\[(\d+)[^]]*\]", r"\1", re.split(r",(?![^[]*\])", nodes)[0])
