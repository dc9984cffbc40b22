"""Close a run's record from outside the ranks: the launcher's exit status decides.

Rank 0 writes ``result.json`` unless it was killed. Its result does not stand if another rank failed later, and a user's
own program may write no record.
"""

from __future__ import annotations

import contextlib
import os
import signal

from hpcnn.rundir.deaths import task_that_died
from hpcnn.rundir.layout import STOPPED_EXIT_STATUS, RunDir
from hpcnn.rundir.memory import OUT_OF_MEMORY, ran_out_of_memory
from hpcnn.util.exit_status import by_signal
from hpcnn.util.files import read_json, write_json

_TERMINATED = "the scheduler ended the job by SIGTERM: it was cancelled or preempted, or its time was up"
_INTERRUPTED = {STOPPED_EXIT_STATUS, *map(by_signal, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))}


def finish(
    path: str | os.PathLike[str],
    exit_code: int,
    seconds: float | None = None,
    reason: str | None = None,
    ended: str | None = None,
    *,
    terminated: bool = False,
) -> None:
    """Write or correct ``result.json`` so that it agrees with the launcher's ``exit_code``.

    ended, reason: the scheduler's status of a job that left no result, and its reason. terminated: the scheduler has
    ended the job by SIGTERM; whatever a program made of that, it was interrupted.
    """
    run = RunDir(path)
    written = run.read_result()
    kept = exit_code == STOPPED_EXIT_STATUS or (exit_code == 0 and written)
    if terminated and not kept and not ran_out_of_memory(run):
        exit_code, reason = by_signal(signal.SIGTERM), reason or _TERMINATED
    if written is None:
        status, found = _status_and_reason(run, exit_code, terminated=terminated)
        status, reason = ended or status, reason or found
        if exit_code == 0 and (read_json(run.spec) or {}).get("train"):
            # a training writes its own result: what ended without one cannot be believed, whatever its exit status
            status, reason = "failed", f"rank 0 ended without a result; see {run.log.name}"
        more = {"note": note} if status == "completed" and (note := _unmet(run)) else {}
        run.write_result(status, exit_code=exit_code, reason=reason, seconds_total=seconds, **more)
    elif written.get("status") == "completed" and exit_code != 0:
        status, found = _status_and_reason(run, exit_code, terminated=terminated)
        reason = reason or found
        write_json(run.result, {**written, "status": status, "exit_code": exit_code, "reason": reason}, folders=False)


def name_cause(run: RunDir, cause: str) -> None:
    """Put the scheduler's cause before the reason of a failed run whose record does not name it: memory, say."""
    result = run.read_result()
    if result and result.get("status") == "failed" and OUT_OF_MEMORY not in str(result.get("reason")):
        reasons = (cause, result.get("reason"))
        write_json(run.result, {**result, "reason": "; ".join(str(text) for text in reasons if text)})


def note_of(run: RunDir) -> str | None:
    """Return what the record says aloud of a run that has ended well, None for nothing."""
    return (run.read_result() or {}).get("note")


def _unmet(run: RunDir) -> str | None:
    """Return what is to be said of several processes of a user's program of which hpcnn saw none."""
    spec = read_json(run.spec) or {}
    asked = spec.get("resources") or {}
    processes = asked.get("ntasks") or (asked.get("nodes") or 1) * (asked.get("ntasks_per_node") or 1)
    program = spec.get("program") or []
    measures = program[1:2] == ["-m"] and program[2].startswith("hpcnn.")  # the ranks of `hpcnn bench`, which do meet
    stated = spec.get("stated") or {}
    meant = stated.get("independent") or stated.get("strategy") == "multiworker"  # TensorFlow's workers meet themselves
    if not program or measures or meant or processes < 2 or run.provenance.exists():
        return None
    return (
        f"none of the {processes} ranks called hpcnn.init(): unless they met by other means, each did all of the "
        "work by itself, and nothing was shared"
    )


def exit_status(run: RunDir) -> int | None:
    """Return the exit status that a run's record amounts to: 0 for a completed run alone; None without a record."""
    result = run.read_result()
    if result is None:
        return None
    return int(result.get("exit_code") or 0) or (0 if result.get("status") == "completed" else 1)


def _status_and_reason(run: RunDir, exit_code: int, *, terminated: bool) -> tuple[str, str | None]:
    """Return a run's status and reason by its exit status, the files that failing ranks left, and srun's last words."""
    if exit_code == 0:
        return "completed", None
    if exit_code != STOPPED_EXIT_STATUS and ran_out_of_memory(run):
        ended = f"; the launcher ended with exit status {exit_code}, see {run.log.name}"
        return "failed", f"{OUT_OF_MEMORY}: a process needed more than the job had{ended}"
    status = "interrupted" if exit_code in _INTERRUPTED else "failed"
    failures = run.failures()
    if failures:
        return status, f"rank {failures[0].get('rank')}: {failures[0].get('reason')}"
    if status == "interrupted" and not terminated and (died := task_that_died(run.log)):
        return "failed", f"{died}; see {run.log.name}"
    if exit_code > 128:
        with contextlib.suppress(ValueError):
            return status, f"ended by {signal.Signals(exit_code - 128).name}"
    return status, f"the launcher ended with exit status {exit_code}; see {run.log.name}"
