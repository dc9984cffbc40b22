"""Which samples each replica sees in each step: pure arithmetic on NumPy arrays.

One seed fixes one global order of the samples for every epoch, whatever the number of ranks. Step k takes the k-th
run of ``batch_size`` samples of that order as its global batch, and replica r of N takes the r-th of N nearly equal
slices of it. So every sample is seen exactly once an epoch, and the sequence of global batches does not depend on N.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Block:
    """Consecutive steps whose global batches have the same size.

    indices: for each local replica, an array (steps, b): the samples of its slice. Where its slice is empty (a last
        batch smaller than the number of replicas), b is 1: a stand-in sample that carries the weight 0.
    weights: for each local replica, the share of the global batch that its slice is; they sum to 1 over all replicas.
    batch: size of the global batch.
    """

    indices: tuple[Indices, ...]
    weights: tuple[float, ...]
    batch: int

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.indices[0])

    def part(self, first: int, last: int) -> Block:
        """Return the steps ``first`` to ``last`` (exclusive)."""
        return Block(tuple(table[first:last] for table in self.indices), self.weights, self.batch)


def epoch_order(samples: int, seed: int, epoch: int) -> Indices:
    """Return the order of the samples in one epoch (from 1): a permutation of 0..samples-1, int32.

    Philox, a counter-based generator, keyed by (seed, epoch): any rank, and a resumed run, gets the same order.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    return generator.permutation(samples).astype(np.int32)


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Return the number of steps of an epoch, the last smaller one included."""
    return -(-samples // batch_size)


def blocks(order: Indices, batch_size: int, size: int, replicas: Sequence[int]) -> Iterator[Block]:
    """Yield the full global batches of ``order`` as one block, then the smaller last one, if any, as another.

    size: replicas in all; replicas: the numbers of the local ones.
    """
    full = len(order) // batch_size
    if full:
        yield _block(order[: full * batch_size].reshape(full, batch_size), size, replicas)
    if len(order) % batch_size:
        yield _block(order[full * batch_size :].reshape(1, -1), size, replicas)


def _block(batches: Indices, size: int, replicas: Sequence[int]) -> Block:
    """Cut global batches (steps, B) into the slices of the local replicas."""
    batch = batches.shape[1]
    edges = [replica * batch // size for replica in range(size + 1)]
    tables, weights = [], []
    for replica in replicas:
        table = batches[:, edges[replica] : edges[replica + 1]]
        weights.append(table.shape[1] / batch)
        tables.append(np.ascontiguousarray(table if table.shape[1] else batches[:, :1]))
    return Block(tuple(tables), tuple(weights), batch)
