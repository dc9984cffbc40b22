"""Closes a run's record from outside the ranks: the launcher's exit status has the last word.

Rank 0 writes ``result.json`` itself when it can. It cannot when it was killed; it must not be believed when another
rank failed after it; and a user's own program may not know of records at all.
"""

from __future__ import annotations

import contextlib
import os
import signal

from hpcnn.rundir.layout import STOPPED_EXIT_STATUS, RunDir
from hpcnn.util.files import read_json, write_json

# 128 + signal: as shells report a process that a signal ended (bash(1), "EXIT STATUS").
_INTERRUPTED = {STOPPED_EXIT_STATUS, 128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGHUP}


def finish(
    path: str | os.PathLike[str], exit_code: int, seconds: float | None = None, reason: str | None = None
) -> None:
    """Make sure that ``result.json`` exists and agrees with the launcher's ``exit_code``.

    reason: the scheduler's own words for the end of a job that left no result.
    """
    run = RunDir(path)
    written = run.read_result()
    if written is None:
        status, found = _verdict(run, exit_code)
        reason = reason or found
        if exit_code == 0 and (read_json(run.spec) or {}).get("train"):
            # a training writes its own result: what ended without one cannot be believed, whatever its exit status
            status, reason = "failed", f"rank 0 ended without a result; see {run.log.name}"
        run.write_result(status, exit_code=exit_code, reason=reason, seconds_total=seconds)
    elif written.get("status") == "completed" and exit_code != 0:
        status, reason = _verdict(run, exit_code)
        write_json(run.result, {**written, "status": status, "exit_code": exit_code, "reason": reason})


def _verdict(run: RunDir, exit_code: int) -> tuple[str, str | None]:
    """Return the status and the reason that an exit status and the ranks' own words amount to."""
    if exit_code == 0:
        return "completed", None
    status = "interrupted" if exit_code in _INTERRUPTED else "failed"
    failures = run.failures()
    if failures:
        return status, f"rank {failures[0].get('rank')}: {failures[0].get('reason')}"
    if exit_code > 128:
        with contextlib.suppress(ValueError):
            return status, f"ended by {signal.Signals(exit_code - 128).name}"
    return status, f"the launcher ended with exit status {exit_code}; see {run.log.name}"
