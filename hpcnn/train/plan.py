"""Which samples each replica sees in each step: pure arithmetic on NumPy arrays.

One seed fixes one global order of the samples for every epoch (``order.py``), whatever the number of ranks. Step k
takes the k-th run of ``batch_size`` samples of that order as its global batch, and replica r of N takes the r-th of N
nearly equal slices of it. So every sample is seen exactly once an epoch, and the sequence of global batches does not
depend on N.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hpcnn.train.order import Indices, Order, epoch_order

__all__ = ["Block", "blocks", "epoch_order", "steps_per_epoch"]


@dataclass(frozen=True)
class Block:
    """Consecutive steps whose global batches have the same size.

    order: of the samples of an epoch; ``first``: where in it the block begins. batch: size of the global batch.
    size: replicas in all; replicas: the numbers of the local ones. Tables are made when they are asked for: those of a
    whole epoch may be larger than memory.
    """

    order: Order
    first: int
    steps: int
    batch: int
    size: int
    replicas: tuple[int, ...]

    @cached_property
    def indices(self) -> tuple[Indices, ...]:
        """For each local replica, an array (steps, b): the samples of its slice.

        Where its slice is empty (a last batch smaller than the number of replicas), b is 1: a stand-in sample that
        carries the weight 0.
        """
        samples = self.order[self.first : self.first + self.steps * self.batch]
        batches = samples.reshape(self.steps, self.batch)
        tables = [batches[:, first:last] if last > first else batches[:, :1] for first, last in self._slices]
        return tuple(map(np.ascontiguousarray, tables))

    @property
    def weights(self) -> tuple[float, ...]:
        """For each local replica, the share of the global batch that its slice is; they sum to 1 over all replicas."""
        return tuple((last - first) / self.batch for first, last in self._slices)

    def part(self, first: int, last: int) -> Block:
        """Return the steps ``first`` to ``last`` (exclusive)."""
        last = min(last, self.steps)
        return replace(self, first=self.first + first * self.batch, steps=max(last - first, 0))

    @property
    def _slices(self) -> list[tuple[int, int]]:
        edges = [replica * self.batch // self.size for replica in range(self.size + 1)]
        return [(edges[replica], edges[replica + 1]) for replica in self.replicas]


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Return the number of steps of an epoch, the last smaller one included."""
    return -(-samples // batch_size)


def blocks(order: Order, batch_size: int, size: int, replicas: Sequence[int]) -> Iterator[Block]:
    """Yield the full global batches of ``order`` as one block, then the smaller last one, if any, as another.

    size: replicas in all; replicas: the numbers of the local ones.
    """
    full, rest = divmod(len(order), batch_size)
    if full:
        yield Block(order, 0, full, batch_size, size, tuple(replicas))
    if rest:
        yield Block(order, full * batch_size, 1, rest, size, tuple(replicas))
