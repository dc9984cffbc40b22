"""Wait for a submitted job and follow its log. Must not print: callbacks get the lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hpcnn.jobs.notify import tell
from hpcnn.jobs.patience import Patience, Silence, seconds_to_believe
from hpcnn.rundir.close import exit_status, finish, name_cause
from hpcnn.rundir.layout import RunDir
from hpcnn.scheduler import batch_scheduler
from hpcnn.scheduler.api import JobState, NoAnswer
from hpcnn.util.files import open_regular

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0


def watch(job_id: str, run: RunDir, warn: Callable[[str], None], on_line: Callable[[str], None] | None = None) -> int:
    """Wait until a job has ended; return its exit status. on_line: gets each line of the log as it comes.

    A job that ended without a record (cancelled while pending, a dead node) gets one with the scheduler's reason. While
    the scheduler gives no answer, the wait goes on with growing pauses, and ``warn`` gets a line; after half an hour it
    raises NoAnswer.
    """
    log, patience, silence, pause = Log(run.log), Patience(), Silence(warn), _FIRST_PAUSE
    while True:
        state = batch_scheduler().query([job_id])[job_id]
        if on_line is not None:
            log.pass_on(on_line)
        if _has_ended(state, run, patience):
            break
        silence.note(state.no_answer, seconds_to_believe(state))
        time.sleep(pause)
        is_followed = on_line is not None and not state.no_answer
        pause = _FIRST_PAUSE if is_followed else min(pause * 1.5, _LONGEST_PAUSE)
    if on_line is not None:
        log.pass_on(on_line)
    return _exit_status(run, state, warn)


def record_end(run: RunDir, state: JobState, warn: Callable[[str], None]) -> None:
    """Write the record of a run whose job has ended without one, with the scheduler's reason, and tell of the end."""
    finish(run.path, state.exit_status, reason=state.cause, ended=state.status)
    tell(run, warn)


def _has_ended(state: JobState, run: RunDir, patience: Patience) -> bool:
    if state.alive:
        patience.reset()
        return False
    return _has_final_record(run, state) or patience.is_over(seconds_to_believe(state))


def _has_final_record(run: RunDir, state: JobState) -> bool:
    """Return whether a run's record is its last one. Without an answer, an interrupted run may have been requeued."""
    status = (run.read_result() or {}).get("status")
    return status is not None and (state.queue_answered or status != "interrupted")


def _exit_status(run: RunDir, state: JobState, warn: Callable[[str], None]) -> int:
    """Return the exit status of a job that has ended: that of its record, else the scheduler's, which is recorded now.

    Raises NoAnswer where the scheduler has not answered whether or how the job ended.
    """
    if state.ran_out_of_memory:
        name_cause(run, state.cause)
    recorded = exit_status(run)
    if recorded is not None and _has_final_record(run, state):
        return recorded
    if state.no_answer:
        open_question = "it may be running" if state.may_be_alive else "how it ended is unknown"
        raise NoAnswer(f"job {state.job_id}: {state.no_answer}; {open_question} (hpcnn status {state.job_id})")
    if state.unknown:
        return 1
    record_end(run, state, warn)
    return state.exit_status


class Log:
    """Reads the new lines of a log that another process writes."""

    def __init__(self, path: Path) -> None:
        self._path, self._position = path, 0

    def pass_on(self, on_line: Callable[[str], None]) -> None:
        """Pass every whole new line to ``on_line``."""
        try:
            with open_regular(self._path) as file:
                file.seek(self._position)
                new = file.read()
        except FileNotFoundError:
            return
        whole = new[: new.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            on_line(line)
