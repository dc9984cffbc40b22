"""Arrays on disk as rows that can be taken by number: mapped into memory, in chunks, or of several files.

Every class has ``shape`` and ``dtype`` of the whole array, ``chunk``, and ``take(indices)``.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from hpcnn.data.stream.source import Indices
from hpcnn.util.types import Array

# What the chunks of one array may take of a rank's memory.
_CACHE_BYTES = 256 * 2**20


class Rows(Protocol):
    """An array whose first axis numbers the samples."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: int

    def take(self, indices: Indices) -> Array:
        """Return these rows, in this order."""


class MappedRows:
    """An array in memory or mapped into it: the operating system reads what is touched."""

    chunk = 1

    def __init__(self, array: Array) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype
        self._map = getattr(array, "_mmap", None)
        self._end = getattr(array, "offset", 0) + array.nbytes  # beyond a file's end, a touch would kill the process

    def take(self, indices: Indices) -> Array:
        """Return these rows, in this order. Raises OSError for a file that has become shorter than it was."""
        if self._map is not None and self._map.size() < self._end:
            raise OSError(f"the file has {self._map.size():,} bytes, and had {self._end:,} when it was opened")
        return self._array[indices]


class ChunkedRows:
    """An array of HDF5 or Zarr, read a chunk at a time; the chunks that were used last stay in memory.

    array: has ``shape``, ``dtype`` and slices of rows.
    """

    def __init__(self, array: Any, chunk: int) -> None:
        self._array, self.chunk = array, chunk
        self.shape, self.dtype = tuple(array.shape), np.dtype(array.dtype)
        size = chunk * int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        self._most = max(_CACHE_BYTES // max(size, 1), 1)
        self._chunks: OrderedDict[int, Array] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, indices: Indices) -> Array:
        """Return these rows, in this order; each chunk of them is read once."""
        found = np.empty((len(indices), *self.shape[1:]), self.dtype)
        numbers, offsets = np.divmod(np.asarray(indices, np.int64), self.chunk)
        for number in np.unique(numbers):
            inside = numbers == number
            found[inside] = self._chunk(int(number))[offsets[inside]]
        return found

    def _chunk(self, number: int) -> Array:
        with self._lock:  # h5py reads for one thread at a time anyway
            if number in self._chunks:
                self._chunks.move_to_end(number)
                return self._chunks[number]
            rows = np.asarray(self._array[number * self.chunk : (number + 1) * self.chunk])
            self._chunks[number] = rows
            while len(self._chunks) > self._most:
                self._chunks.popitem(last=False)
            return rows


class JoinedRows:
    """Arrays of several files, one after another. Their samples have the same shape and type."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self._parts = parts
        self.starts = np.cumsum([0, *(part.shape[0] for part in parts)])
        self.shape = (int(self.starts[-1]), *parts[0].shape[1:])
        self.dtype, self.chunk = parts[0].dtype, parts[0].chunk

    def take(self, indices: Indices) -> Array:
        """Return these rows, in this order."""
        found = np.empty((len(indices), *self.shape[1:]), self.dtype)
        files = np.searchsorted(self.starts, indices, side="right") - 1
        for file in np.unique(files):
            inside = files == file
            found[inside] = self._parts[file].take(np.asarray(indices)[inside] - self.starts[file])
        return found
