"""How a rank ends when it cannot go on: with its reason on disk, and without leaving the others waiting.

A rank that simply raised would wait in MPI_Finalize for ranks that wait for its gradients. So it says why, writes that
down, and leaves at once; the launcher then ends the other ranks, and the job script closes the record.
"""

from __future__ import annotations

import sys
import time
import traceback

from hpcnn.errors import HpcnnError
from hpcnn.parallel.base import Strategy
from hpcnn.rundir import RunDir, write_json

# All ranks meet the same mistake in a model or a data set at the same time: rank 0 says it, once.
_SECONDS_FOR_RANK_0 = 2.0


def end_failed(run: RunDir, strategy: Strategy | None, error: BaseException) -> None:
    """Write the reason and, where other ranks wait for this one, end the process. Else return: the caller raises."""
    interrupted = isinstance(error, KeyboardInterrupt)
    code = 130 if interrupted else error.exit_code if isinstance(error, HpcnnError) else 1
    reason = "interrupted" if interrupted else f"{type(error).__name__}: {error}"
    if isinstance(error, HpcnnError):
        reason = str(error)
    rank = strategy.rank if strategy else 0
    if not run.path.is_dir() or run.result.exists():
        return
    if rank and isinstance(error, HpcnnError):
        time.sleep(_SECONDS_FOR_RANK_0)
    write_json(run.failure(rank), {"rank": rank, "reason": reason, "traceback": traceback.format_exc()})
    if rank == 0:
        run.write_result("interrupted" if interrupted else "failed", exit_code=code, reason=reason)
    if strategy is not None and strategy.processes > 1:
        _say(rank, error)
        strategy.abort(code)


def _say(rank: int, error: BaseException) -> None:
    if isinstance(error, HpcnnError):
        print(f"Error (rank {rank}): {error}", file=sys.stderr, flush=True)
    else:
        print(f"Error on rank {rank}:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
