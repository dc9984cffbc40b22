"""The order of ``--shuffle node:N``: each node trains on blocks of its own, which it can keep on its own disk.

The blocks of the set, mixed once by the seed, are cut into one part a node, as large as what its replicas train on in
an epoch. A part stays with its node in all epochs, and every sample is seen once an epoch, as in every other order.
Which samples meet in a global batch depends on how many nodes there are, and on which replicas are on each. Pure
arithmetic on NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hpcnn.train.order import LARGEST_TABLE, WINDOW, Indices, order_of
from hpcnn.util.errors import bad_value

Numbers = npt.NDArray[np.int64]


class Part:
    """The samples of one node: pieces of blocks, ``sizes[i]`` samples from number ``starts[i]`` on."""

    def __init__(self, starts: Numbers, sizes: Numbers) -> None:
        self.starts, self.sizes = starts, sizes
        by_number = np.argsort(starts)
        self._starts, self._sizes = starts[by_number], sizes[by_number]
        self._before = np.cumsum([0, *self._sizes])

    def __len__(self) -> int:
        return int(self._before[-1])

    def samples(self, places: Numbers) -> Numbers:
        """Return the samples at these places, in the order of their numbers."""
        piece = np.searchsorted(self._before, places, side="right") - 1
        found: Numbers = self._starts[piece] + places - self._before[piece]
        return found

    def places(self, samples: Numbers) -> Numbers:
        """Return the places of samples among those of the part, -1 where it does not have them."""
        piece = np.maximum(np.searchsorted(self._starts, samples, side="right") - 1, 0)
        offset = samples - self._starts[piece]
        inside = (offset >= 0) & (offset < self._sizes[piece])
        found: Numbers = np.where(inside, self._before[piece] + offset, -1)
        return found


class Parts:
    """The parts of all nodes. nodes: of each replica, its node's number. batch: the global batch size."""

    def __init__(self, samples: int, block: int, seed: int, batch: int, nodes: Sequence[int]) -> None:
        count = -(-samples // block)
        if count > LARGEST_TABLE:
            least = -(-samples // LARGEST_TABLE)
            raise bad_value("--shuffle", f"node:{block}", f"at least node:{least} with {samples:,} samples")
        self._samples, self._seed, self._batch = samples, seed, batch
        full, rest = divmod(samples, batch)
        self._of_columns = [_columns(size, nodes) for size in (batch, rest)]
        kinds = range(max(nodes) + 1)
        wholes = [full * np.count_nonzero(self._of_columns[0] == node) for node in kinds]
        edges = np.cumsum([0, *(n + np.count_nonzero(self._of_columns[1] == node) for node, n in enumerate(wholes))])
        blocks = order_of(count, seed, 0)[:].astype(np.int64)  # epochs count from 1
        sizes = np.minimum(block, samples - blocks * block)
        self.parts = [_cut(blocks * block, sizes, int(first), int(last)) for first, last in pairwise(edges)]

    def order(self, epoch: int) -> OrderByNode:
        """Return the order of one epoch (from 1)."""
        of_parts = [_Mixed(part, self._seed, epoch, node) for node, part in enumerate(self.parts)]
        return OrderByNode(self._samples, self._batch, self._of_columns, of_parts)


class OrderByNode:
    """An order of an epoch (``order.Order``) in which a replica's slices have samples of its node's part."""

    def __init__(self, samples: int, batch: int, of_columns: Sequence[Numbers], parts: Sequence[_Mixed]) -> None:
        self._samples, self._batch, self._parts = samples, batch, parts
        self._of_columns = of_columns

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, positions: slice) -> Indices:
        numbers = np.arange(*positions.indices(self._samples))
        found = np.empty(len(numbers), np.int32)
        edge = self._samples // self._batch * self._batch
        for inside, nodes, first in (
            (numbers < edge, self._of_columns[0], 0),
            (numbers >= edge, self._of_columns[1], edge),
        ):
            if inside.any():
                found[inside] = self._taken(numbers[inside] - first, nodes, first)
        return found

    def _taken(self, numbers: Numbers, nodes: Numbers, first: int) -> Indices:
        """Return the samples at positions in steps of one size. first: samples of all steps before them."""
        steps, columns = np.divmod(numbers, len(nodes))
        found = np.empty(len(numbers), np.int32)
        for node in np.unique(nodes[columns]):
            own = nodes == node
            inside = own[columns]
            among = np.cumsum(own) - 1  # the number of a column among those of the node
            before = first // self._batch * np.count_nonzero(self._of_columns[0] == node)
            places = before + steps[inside] * np.count_nonzero(own) + among[columns[inside]]
            found[inside] = self._parts[node].at(places)
        return found


class _Mixed:
    """The order of a part in one epoch: its pieces in a random order, the samples of each ``WINDOW`` of them mixed."""

    def __init__(self, part: Part, seed: int, epoch: int, node: int) -> None:
        self._key, self._node = (seed, epoch), node
        order = self._random(0).permutation(len(part.starts))
        self._starts, self._sizes = part.starts[order], part.sizes[order]
        self._ends = np.cumsum(np.add.reduceat(self._sizes, np.arange(0, len(order), WINDOW)))
        self._window = lru_cache(maxsize=2)(self._mixed_window)

    def at(self, places: Numbers) -> Numbers:
        """Return the samples at these places."""
        windows = np.searchsorted(self._ends, places, side="right")
        found = np.empty(len(places), np.int64)
        for window in np.unique(windows):
            inside = windows == window
            first = self._ends[window - 1] if window else 0
            found[inside] = self._window(int(window))[places[inside] - first]
        return found

    def _mixed_window(self, window: int) -> Numbers:
        pieces = slice(window * WINDOW, (window + 1) * WINDOW)
        both = zip(self._starts[pieces], self._sizes[pieces], strict=True)
        samples = np.concatenate([np.arange(start, start + size) for start, size in both])
        mixed: Numbers = self._random(window + 1).permutation(samples)
        return mixed

    def _random(self, window: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=self._key, counter=[0, 0, window, self._node + 1]))


def _columns(batch: int, nodes: Sequence[int]) -> Numbers:
    """Return the node that trains on each sample of a global batch, by the slices of ``plan.Block``."""
    edges = np.arange(len(nodes) + 1) * batch // len(nodes)
    return np.repeat(np.asarray(nodes, np.int64), np.diff(edges))


def _cut(starts: Numbers, sizes: Numbers, first: int, last: int) -> Part:
    """Return the samples ``first`` to ``last`` (exclusive) of all blocks laid end to end."""
    ends = np.cumsum(sizes)
    chosen = slice(int(np.searchsorted(ends, first, side="right")), int(np.searchsorted(ends, last, side="left")) + 1)
    begins = ends[chosen] - sizes[chosen]
    skipped = np.maximum(first - begins, 0)
    left = np.minimum(ends[chosen], last) - begins - skipped
    return Part(starts[chosen] + skipped, left)
