"""Waits for a Slurm job and follows its log. Knows the scheduler and the run directory; prints nothing itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from hpcnn.rundir.close import finish
from hpcnn.rundir.layout import RunDir
from hpcnn.scheduler import slurm

# A job that has just ended may be in neither squeue nor sacct for a moment, so unknown is believed only after a while.
_SECONDS_UNTIL_UNKNOWN = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0


def watch(job_id: str, run: RunDir, say: Callable[[str], None] | None = None) -> int:
    """Wait until a job has ended; return its exit status. say: gets each line of the log as it comes.

    A job that ended without a record (cancelled while pending, a dead node) gets one that says so.
    """
    log, pause, unknown_since = _Log(run.log), _FIRST_PAUSE, None
    while True:
        state = slurm.query([job_id])[job_id]
        if say is not None:
            log.pass_on(say)
        if state.status in ("completed", "failed", "interrupted"):
            break
        if state.status == "unknown":
            unknown_since = unknown_since or time.monotonic()
            if run.result.exists() or time.monotonic() - unknown_since > _SECONDS_UNTIL_UNKNOWN:
                break
        else:
            unknown_since = None
        time.sleep(pause)
        pause = _FIRST_PAUSE if say is not None else min(pause * 1.5, _LONGEST_PAUSE)
    if say is not None:
        log.pass_on(say)
    return _exit_status(run, state.status, state.state, state.exit_code)


def _exit_status(run: RunDir, status: str, state: str, code: int | None) -> int:
    """Return the job's status: the record's where there is one, else Slurm's, written down with Slurm's reason."""
    result = run.read_result()
    if result is not None:
        return int(result.get("exit_code") or 0) or (0 if result.get("status") == "completed" else 1)
    if status == "unknown":
        return 1
    code = code or {"completed": 0, "failed": 1}.get(status, 128 + signal.SIGTERM)
    finish(run.path, code, reason=f"Slurm says {state}")
    return code


class _Log:
    """A log that another process writes, read to its end again and again."""

    def __init__(self, path: Path) -> None:
        self._path, self._position = path, 0

    def pass_on(self, say: Callable[[str], None]) -> None:
        """Give every whole new line to ``say``."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._position)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            say(line)
