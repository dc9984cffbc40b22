"""Time a collective operation: the seconds of the slowest rank, in many repeats."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hpcnn.parallel.mpi import greatest

if TYPE_CHECKING:
    from hpcnn.parallel.mpi import Communicator

# A repeat runs the operation so often that it takes at least this long: a small message takes a microsecond, which
# clocks and barriers do not resolve.
_SECONDS_OF_A_REPEAT = 2e-3
_LARGEST_COUNT = 1000
_WARM_UP = 3


def slowest_seconds(operation: Callable[[int], None], comm: Communicator, repeats: int) -> list[float]:
    """Return the seconds of one operation in each of ``repeats`` repeats, the same on every rank.

    operation: runs it a given number of times, to the end. comm: a communicator of all ranks. A repeat begins with a
    barrier; its time is that of its slowest rank (Hoefler and Belli, SC15, rule 10).
    """
    operation(_WARM_UP)
    begin = time.perf_counter()
    operation(_WARM_UP)
    each = float(greatest(comm, [(time.perf_counter() - begin) / _WARM_UP])[0])
    count = min(max(math.ceil(_SECONDS_OF_A_REPEAT / each), 1), _LARGEST_COUNT)
    seconds = []
    for _ in range(repeats):
        comm.Barrier()
        begin = time.perf_counter()
        operation(count)
        seconds.append((time.perf_counter() - begin) / count)
    return [float(slowest) for slowest in greatest(comm, seconds)]
