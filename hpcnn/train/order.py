"""The order of the samples in an epoch: a table for usual sets, computed by number for those too large for a table.

``--shuffle`` chooses: ``global`` mixes all samples, ``block:N`` reads N neighbours together, ``none`` keeps the order
of the files. Every order follows from the seed and the epoch alone: any number of ranks has the same one, and so has a
run that goes on. Pure arithmetic on NumPy arrays.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hpcnn.data.stream.mixing import mixed_bits
from hpcnn.specs.shuffle import block_size

Indices = npt.NDArray[np.int32]

# Up to here a table of the whole order costs less than 200 MB and a second.
LARGEST_TABLE = 2**24
# Blocks among which ``block:N`` mixes the samples.
WINDOW = 8
_ROUNDS = 6


class Order(Protocol):
    """An order of samples: what ``order[first:last]`` of a NumPy array gives, computed when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, positions: slice) -> Indices: ...


def order_of(samples: int, seed: int, epoch: int, shuffle: str = "global", *, table: bool = False) -> Order:
    """Return the order of one epoch (from 1). table: keep a global order as a table, whatever its size."""
    if shuffle == "none":
        return InFileOrder(samples)
    if shuffle == "global":
        small = table or samples <= LARGEST_TABLE
        return epoch_order(samples, seed, epoch) if small else Computed(samples, seed, epoch)
    return InBlocks(samples, block_size(shuffle), seed, epoch)


def epoch_order(samples: int, seed: int, epoch: int) -> Indices:
    """Return the order of the samples in one epoch (from 1): a permutation of 0..samples-1, int32.

    Philox, a counter-based generator, keyed by (seed, epoch): any rank, and a resumed run, gets the same order.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    return generator.permutation(samples).astype(np.int32)


class InFileOrder:
    """0, 1, 2, ..."""

    def __init__(self, samples: int) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, positions: slice) -> Indices:
        return np.arange(*positions.indices(self._samples), dtype=np.int32)


class Computed:
    """A permutation without a table: a Feistel network over pairs of digits, walked until a number falls inside.

    J. Black and P. Rogaway, Ciphers with arbitrary finite domains (CT-RSA 2002), section 5: a bijection of 0..a*b-1
    that is applied again to what leaves 0..N-1 is a bijection of 0..N-1. With a*b just above N hardly any does.
    """

    def __init__(self, samples: int, seed: int, epoch: int) -> None:
        self._samples = samples
        self._side = math.isqrt(max(samples - 1, 0)) + 1
        self._keys = np.random.Philox(key=[seed, epoch]).random_raw(_ROUNDS)

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, positions: slice) -> Indices:
        found = self._mixed(np.arange(*positions.indices(self._samples), dtype=np.uint64))
        while (outside := found >= self._samples).any():
            found[outside] = self._mixed(found[outside])
        return found.astype(np.int32)

    def _mixed(self, numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        side = np.uint64(self._side)
        left, right = numbers // side, numbers % side
        for key in self._keys:
            left, right = right, (left + mixed_bits(right ^ key)) % side
        return left * side + right


class InBlocks:
    """Blocks of neighbours in a random order, and the samples of each ``WINDOW`` blocks mixed among themselves.

    Whoever reads along touches ``WINDOW`` blocks at a time, each of them once an epoch.
    """

    def __init__(self, samples: int, block: int, seed: int, epoch: int) -> None:
        self._samples, self._block = samples, min(block, samples)
        self._key = (seed, epoch)
        count = -(-samples // self._block)
        self._blocks = order_of(count, seed, epoch)
        self._rest = samples % self._block  # the last block of the set is smaller
        self._rest_at = self._place_of(count - 1) if self._rest else count
        self._window = lru_cache(maxsize=4)(self._mixed_window)

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, positions: slice) -> Indices:
        numbers = np.arange(*positions.indices(self._samples))
        width = WINDOW * self._block
        found = np.empty(len(numbers), np.int32)
        for window in np.unique(numbers // width):
            inside = numbers // width == window
            found[inside] = self._window(int(window))[numbers[inside] - window * width]
        return found

    def _place_of(self, block: int) -> int:
        """Return where in the order of the blocks one of them stands."""
        for first in range(0, len(self._blocks), LARGEST_TABLE):
            (found,) = np.nonzero(self._blocks[first : first + LARGEST_TABLE] == block)
            if len(found):
                return first + int(found[0])
        raise AssertionError(block)

    def _mixed_window(self, window: int) -> Indices:
        first = window * WINDOW * self._block
        last = min(first + WINDOW * self._block, self._samples)
        samples = self._unmixed(np.arange(first, last))
        mixer = np.random.Generator(np.random.Philox(key=self._key, counter=[0, 0, window + 1, 0]))
        return mixer.permutation(samples).astype(np.int32)

    def _unmixed(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the samples at positions of the shuffled blocks, one block after another."""
        edge = self._rest_at * self._block
        missing = np.where(positions >= edge + self._rest, self._block - self._rest, 0) if self._rest else 0
        slots, offsets = np.divmod(positions + missing, self._block)
        first = int(slots[0])
        blocks = self._blocks[first : int(slots[-1]) + 1].astype(np.int64)
        found: npt.NDArray[np.int64] = blocks[slots - first] * self._block + offsets
        return found
