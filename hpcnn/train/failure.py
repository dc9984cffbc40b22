"""How a rank ends when it cannot go on: with its reason on disk, and without leaving the others waiting.

A rank that simply raised would wait in MPI_Finalize for ranks that wait for its gradients. So it says why, writes that
down, and leaves at once; the launcher then ends the other ranks, and the job script closes the record.
"""

from __future__ import annotations

import os
import sys
import time
import traceback

from hpcnn.parallel.base import Strategy, exit_without_finalize
from hpcnn.parallel.launcher import launched_by
from hpcnn.rundir.layout import FEW_RANKS, RefusedRunDir, RunDir
from hpcnn.util.errors import HpcnnError
from hpcnn.util.files import WriteError, write_json

# Lines of a TensorFlow error that say where in the graph it happened: the traceback has them too.
_PLACES = ("Graph execution error", "Detected at node", 'File "', "[[{{node")
# What an error of TensorFlow or Horovod says, and what it means here.
_HINTS = {
    "Horovod has been shut down": (
        "another rank ended, or this one waited too long for gradients that another never sent "
        "(HOROVOD_STALL_SHUTDOWN_TIME_SECONDS; Horovod's warnings in the log name the missing ranks). All ranks must "
        "do the same number of steps: divide the data with run.shard(), and let every rank decide when to end"
    ),
    "HorovodAllreduce": (
        "XLA cannot compile Horovod's operations: leave jit_compile=True out of the tf.function that applies the "
        "gradients, and compile the forward pass alone"
    ),
}
# All ranks meet the same mistake in a model or a data set at the same time: rank 0 says it, once.
_SECONDS_FOR_RANK_0 = 2.0
# Of many ranks whatever goes wrong may go wrong on all at once. Each then waits, the later ones longer; where so many
# have said why, the others leave without a word.
_SECONDS_FOR_OTHERS, _MOST_FAILURES = 4.0, 8


def end_failed(run: RunDir | None, strategy: Strategy | None, error: BaseException) -> None:
    """Write why this rank fails; where other ranks wait for it, print the reason and end the process.

    strategy: None where it could not be opened.
    """
    rank, processes = _place(strategy)
    many = processes > FEW_RANKS
    if rank and (many or isinstance(error, HpcnnError)):
        time.sleep(_SECONDS_FOR_RANK_0 + (_SECONDS_FOR_OTHERS * rank / processes if many else 0.0))
    interrupted = isinstance(error, KeyboardInterrupt)
    code = 130 if interrupted else error.exit_code if isinstance(error, HpcnnError) else 1
    if many and rank and run is not None and _is_told(run):
        exit_without_finalize(code)
    refused = isinstance(error, RefusedRunDir)  # what is in the directory is another attempt's
    if run is not None and not refused and run.path.is_dir() and not run.result.exists():
        reason = "interrupted" if interrupted else _reason(error)
        try:
            if rank == 0:  # first: where a disk is full, the last bytes are for it
                run.write_result("interrupted" if interrupted else "failed", exit_code=code, reason=reason)
            failure = {"rank": rank, "reason": reason, "traceback": _traceback(error)}
            write_json(run.failure(rank), failure, folders=False)
        except WriteError as unwritten:  # the reason is said below all the same, and nobody waits for this rank
            print(f"Error (rank {rank}): {unwritten}", file=sys.stderr, flush=True)
    if processes > 1:
        text = str(error) if isinstance(error, HpcnnError) else f"\n{_traceback(error)}"
        print(f"Error (rank {rank}): {text}", file=sys.stderr, flush=True)
        if hint_of(error) is not None:
            print(f"Error (rank {rank}): {hint_of(error)}", file=sys.stderr, flush=True)
        exit_without_finalize(code)


def _is_told(run: RunDir) -> bool:
    """Return whether rank 0, or enough of many other ranks, have said why they failed."""
    return run.result.exists() or sum(1 for _ in run.path.glob("failed.rank*.json")) >= _MOST_FAILURES


def _place(strategy: Strategy | None) -> tuple[int, int]:
    """Return this process's rank and the number of processes, as far as they are known."""
    if strategy is not None:
        return strategy.rank, strategy.processes
    launched = launched_by(os.environ)
    return (launched.rank, launched.size) if launched else (0, 1)


def _reason(error: BaseException) -> str:
    """Return the type and the text of an error in one line."""
    if isinstance(error, HpcnnError):
        return str(error)
    lines = (line.strip() for line in str(error).splitlines())
    said = " ".join(line for line in lines if line and not line.startswith(_PLACES))
    hint = hint_of(error)
    return f"{type(error).__name__}: {said}" if hint is None else f"{hint} ({type(error).__name__}: {said})"


def hint_of(error: BaseException) -> str | None:
    """Return what an error of Horovod's or XLA's means for the ranks, None for any other."""
    text = str(error)
    return next((hint for sign, hint in _HINTS.items() if sign in text), None)


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
