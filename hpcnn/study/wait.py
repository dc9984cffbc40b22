"""Wait for the end of a study's runs, and close the records that they could not close themselves."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hpcnn.jobs.patience import SECONDS_UNTIL_UNKNOWN, Patience, Silence, seconds_to_believe
from hpcnn.jobs.watch import record_end
from hpcnn.study.states import RunState, look

# A run's record may be seen later than its job's end: NFS keeps what it knows of a folder for up to 60 s.
_SECONDS_WITHOUT_RECORD = 15.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


def wait(paths: Sequence[Path], ended: Callable[[RunState], None], warn: Callable[[str], None]) -> list[RunState]:
    """Wait until every run in ``paths`` has ended; return their states in the order of ``paths``.

    ended: gets each state as it ends. warn: gets a line when the scheduler stops answering, and when it answers again.

    A run that ended without a record (cancelled while pending, a dead node) gets one that says so. A run of which
    neither the scheduler nor a record knows anything counts as ended after a minute, and stays unknown; so does one
    whose scheduler has given no answer for half an hour. ``warn`` gets a line as soon as there is no answer.
    """
    still, found, pause = list(paths), dict[Path, RunState](), _FIRST_PAUSE
    patience, silence = defaultdict[Path, Patience](Patience), Silence(warn)
    while still:
        before, states = len(still), look(still)
        for path, state in zip(list(still), states, strict=True):
            if state.alive:
                patience[path].reset()
            elif _has_final_record(state) or patience[path].is_over(_seconds_to_believe(state)):
                found[path] = _closed(state, warn)
                still.remove(path)
                ended(found[path])
        if still:
            open_states = [state for state in states if state.no_answer]
            silence.note(
                open_states[0].no_answer if open_states else "", max(map(_seconds_to_believe, open_states), default=0.0)
            )
            pause = _FIRST_PAUSE if len(still) < before else min(pause * 1.5, _LONGEST_PAUSE)
            time.sleep(pause)
    return [found[path] for path in paths]


def _has_final_record(state: RunState) -> bool:
    return state.recorded and not state.may_be_alive


def _seconds_to_believe(state: RunState) -> float:
    """Return how long the state of a run without a final record must last before nobody waits for the record."""
    job = state.job
    return max(_SECONDS_WITHOUT_RECORD, seconds_to_believe(job)) if job is not None else SECONDS_UNTIL_UNKNOWN


def _closed(state: RunState, warn: Callable[[str], None]) -> RunState:
    if state.recorded or state.job is None or state.job.unknown or state.job.no_answer:
        return state
    record_end(state.run, state.job, warn)
    result = state.run.read_result() or {}
    return replace(state, status=str(result.get("status")), reason=result.get("reason"), recorded=True)
