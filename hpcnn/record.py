"""Closes a run's record from outside the ranks: the launcher's exit status has the last word.

Rank 0 writes ``result.json`` itself when it can. It cannot when it was killed; it must not be believed when another
rank failed after it; and a user's own program may not know of records at all.
"""

from __future__ import annotations

import os
import signal

from hpcnn.rundir import RunDir, write_json

# 128 + signal, as shells report a process that a signal ended (bash(1), "EXIT STATUS").
_INTERRUPTED = {128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGHUP}


def finish(path: str | os.PathLike[str], exit_code: int, seconds: float | None = None) -> None:
    """Make sure that ``result.json`` exists and agrees with the launcher's ``exit_code``."""
    run = RunDir(path)
    written = run.read_result()
    if written is None:
        run.write_result(_status(exit_code), exit_code=exit_code, reason=_reason(run, exit_code), seconds_total=seconds)
    elif written.get("status") == "completed" and exit_code != 0:
        reason = _reason(run, exit_code)
        write_json(run.result, {**written, "status": "failed", "exit_code": exit_code, "reason": reason})


def _status(exit_code: int) -> str:
    if exit_code == 0:
        return "completed"
    return "interrupted" if exit_code in _INTERRUPTED else "failed"


def _reason(run: RunDir, exit_code: int) -> str | None:
    if exit_code == 0:
        return None
    failures = run.failures()
    if failures:
        return f"rank {failures[0].get('rank')}: {failures[0].get('reason')}"
    if exit_code > 128:
        try:
            return f"ended by {signal.Signals(exit_code - 128).name}"
        except ValueError:
            pass
    return f"the launcher ended with exit status {exit_code}; see {run.log.name}"
