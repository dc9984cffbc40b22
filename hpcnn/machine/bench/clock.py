"""The seconds of one operation that all ranks do together: many times, the slowest rank each time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

# A repeat does the operation so often that it takes at least this long: clocks and barriers are not exact to the
# microsecond in which a small message is done.
_SECONDS_OF_A_REPEAT = 2e-3
_LARGEST_COUNT = 1000
_WARM_UP = 3


def slowest_seconds(operation: Callable[[int], None], comm: Any, repeats: int) -> list[float]:
    """Return the seconds of one operation in each of ``repeats`` repeats, the same on every rank.

    operation: does it so many times, and returns when they are done. comm: an mpi4py communicator of all ranks. A
    repeat begins with a barrier; it takes as long as on its slowest rank (Hoefler and Belli, SC15, rule 10).
    """
    operation(_WARM_UP)
    begin = time.perf_counter()
    operation(_WARM_UP)
    each = max(comm.allgather((time.perf_counter() - begin) / _WARM_UP))
    count = min(max(math.ceil(_SECONDS_OF_A_REPEAT / each), 1), _LARGEST_COUNT)
    seconds = []
    for _ in range(repeats):
        comm.Barrier()
        begin = time.perf_counter()
        operation(count)
        seconds.append((time.perf_counter() - begin) / count)
    return [max(of_ranks) for of_ranks in zip(*comm.allgather(seconds), strict=True)]
