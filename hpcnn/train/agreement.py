"""Checks that all ranks hold identical weights: the sign that no reduction was missed.

A lost reduction shows in no loss curve: each rank trains well, on its own share. So every epoch ends with this check,
which costs one checksum of the weights a rank.
"""

from __future__ import annotations

import zlib

import numpy as np

from hpcnn.parallel.base import Strategy
from hpcnn.util.errors import RunError
from hpcnn.util.types import KerasModel


def checksum(model: KerasModel) -> int:
    """Return a CRC-32 of every weight of the model, moving statistics included, bit for bit."""
    crc = 0
    for weight in model.weights:
        crc = zlib.crc32(np.ascontiguousarray(weight.numpy()).tobytes(), crc)
    return crc


def check_same_weights(model: KerasModel, strategy: Strategy) -> None:
    """Raise RunError naming the ranks whose weights differ from rank 0's. All ranks must call it.

    Says nothing of a measurement without communication, in which they differ by design.
    """
    if strategy.processes == 1 or not strategy.communicates:
        return
    sums = strategy.gather([float(checksum(model))])[:, 0]
    different = [rank for rank, value in enumerate(sums) if value != sums[0]]
    if different:
        ranks = ", ".join(map(str, different[:8])) + (", ..." if len(different) > 8 else "")
        raise RunError(
            f"the ranks do not hold the same weights: rank {ranks} of {len(sums)} differ from rank 0. Gradients are "
            "not being reduced. In a script of your own: is the optimizer the one that run.distribute() returned, and "
            "were the callbacks of run.callbacks() given to fit()?"
        )
