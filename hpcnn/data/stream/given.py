"""What a user's function may return instead of arrays: sources, arrays on disk, PyDatasets, tf.data.Datasets.

Must not import TensorFlow, Keras or the libraries of the files: what there is of them, the user has imported.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from hpcnn.data.instead import masked
from hpcnn.data.labels import kind_of_same
from hpcnn.data.stream.pairs import Pairs
from hpcnn.data.stream.passing import IN_MEMORY, Passing
from hpcnn.data.stream.rows import ChunkedRows, MappedRows, Rows
from hpcnn.data.stream.source import BadSample, Indices, Slice, Source, Spec
from hpcnn.data.stream.streamed import StreamedSet
from hpcnn.data.stream.streamed import source_of as source_of_column
from hpcnn.data.structure import is_structure
from hpcnn.util.errors import UsageError


def source_of(name: str, given: Any) -> Source | None:
    """Return a source of what is one part of a data set, training or test; None for plain arrays and other things."""
    if isinstance(given, Source):
        return given
    kind = kind_of(given)
    if kind == "tf.data.Dataset":
        return Passing(name, given)
    if kind == "keras.utils.PyDataset":
        return Batches(name, given)
    if callable(getattr(given, "read", None)) and hasattr(given, "__len__"):
        return Given(name, given)
    return pairs_of(name, given) if is_pair(given) and any(map(_on_disk, given)) else None


def is_pair(given: Any) -> bool:
    """Return whether a value is (x, y) or (x, y, weights), each part by itself one thing."""
    parts = isinstance(given, (tuple, list)) and len(given) in (2, 3)
    return parts and not any(is_structure(part) or kind_of(part) or isinstance(part, Iterator) for part in given)


def pairs_of(name: str, given: Any) -> Source:
    """Return a source of (x, y) or (x, y, weights): arrays on disk or in memory, lists or tables of numbers."""
    x, y, *weights = map(_rows, given)
    return Pairs([(name, x, y)], weights, kind_of_same(x.dtype) if given[0] is given[1] else None)


def kind_of(given: Any) -> str | None:
    """Return what of TensorFlow or Keras a value is, if it yields batches."""
    classes = {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(given).__mro__}
    if any(root == "tensorflow" and word in ("Dataset", "DatasetV2") for root, word in classes):
        return "tf.data.Dataset"
    if any(root == "keras" and word in ("PyDataset", "Sequence") for root, word in classes):
        return "keras.utils.PyDataset"
    return None


def _on_disk(value: Any) -> bool:
    root = type(value).__module__.partition(".")[0]
    if root == "h5py" and not value:  # h5py's own word for what has been closed
        raise UsageError("--data: an array of HDF5 is closed: leave its file open, without `with`, or return array[:]")
    return isinstance(value, np.memmap) or (root in ("h5py", "zarr") and hasattr(value, "shape"))


def _rows(array: Any) -> Rows:
    root = type(array).__module__.partition(".")[0]
    if root == "h5py":
        from hpcnn.data.stream.hdf5 import rows_of

        return rows_of(array)
    if root == "zarr":
        return ChunkedRows(array, array.chunks[0])
    return MappedRows(array if isinstance(array, np.ndarray) else np.asarray(array))


def has_numbers(data: Any) -> bool:
    """Return whether the samples of a set can be read in any order: not those of a ``tf.data.Dataset``."""
    return not isinstance(data, StreamedSet) or not source_of_column(data.x_train).sequential


class Given(Source):
    """A user's own object with ``len`` and ``read(indices) -> (x, y)``; its first sample tells shapes and types.

    It may return (x, y, weights), too.
    """

    def __init__(self, name: str, given: Any) -> None:
        self._name, self._given = name, given
        self.classes = getattr(given, "classes", None)
        self.threads = getattr(given, "threads", 1)  # nothing says that it may be read by several
        if not len(given):
            raise UsageError(f"--data: {name} returned a {type(given).__name__} of length 0")
        first = self._read(np.array([0]))
        self._specs = [Spec(part.shape[1:], part.dtype) for part in first]
        self.kind = kind_of_same(first[0].dtype) if first[0] is first[1] else None
        self.x, self.y = self._specs[:2]
        self.w = self._specs[2] if len(self._specs) > 2 else None

    def __len__(self) -> int:
        return len(self._given)

    def read(self, indices: Indices) -> Slice:
        """Return features and labels of these samples, and their weights if they have any."""
        parts = self._read(indices)
        for kind, found, spec in zip(("features", "labels", "weights"), parts, self._specs, strict=False):
            if found.shape != (len(indices), *spec.shape) or found.dtype != spec.dtype:
                raise UsageError(
                    f"--data: read() of {self._name} returned {kind} of {found.dtype} {found.shape} for {len(indices)} "
                    f"samples; expected {spec.dtype} {(len(indices), *spec.shape)}, as for its first sample"
                )
        return parts

    def where(self, index: int) -> str:
        """Return how the user's object calls a sample, if it does."""
        own = getattr(self._given, "where", None)
        return str(own(index)) if callable(own) else f"{self._name}, number {index}"

    def _read(self, indices: Indices) -> Slice:
        try:
            found = self._given.read(np.asarray(indices, np.int64))
        except (OSError, ValueError) as error:  # of a file that is missing or damaged; others are faults of code
            index = int(indices[0])
            if len(indices) > 1:
                index = next((int(one) for one in indices if not self._reads(int(one))), index)
            raise BadSample(index, self.where(index), f"read() raised {type(error).__name__}: {error}") from error
        if not isinstance(found, (tuple, list)) or len(found) not in (2, 3) or any(map(is_structure, found)):
            raise UsageError(
                f"--data: read() of {self._name} returned {_what(found)}; expected (x, y) or (x, y, weights), each one "
                f"array. {IN_MEMORY}"
            )
        hints = [hint for hint in map(masked, found) if hint]
        if hints:
            raise UsageError(f"--data: read() of {self._name} returned a masked array; expected {hints[0]}")
        return tuple(map(np.asarray, found))

    def _reads(self, index: int) -> bool:
        try:
            self._given.read(np.array([index]))
        except (OSError, ValueError):
            return False
        return True


class Batches(Source):
    """A ``keras.utils.PyDataset``: its batches are chunks of samples, all of the same size but the last.

    Its samples are read by number, in hpcnn's order, so the result does not depend on the number of ranks. The batch
    that was read last stays in memory. A batch may have the weights of its samples as a third part.
    """

    threads = 1

    def __init__(self, name: str, dataset: Any) -> None:
        self._name, self._dataset = name, dataset
        count = getattr(dataset, "num_batches", 0)  # Keras's name for the length; None for a dataset without end
        if count is None or not len(dataset):
            what = "a PyDataset without end, so an epoch has none either" if count is None else "an empty PyDataset"
            raise UsageError(f"--data: {name} returned {what}; let its __len__ return the number of batches")
        self._kept: dict[int, Slice] = {}
        self._lock = threading.Lock()
        first = self._batch(0)
        self.chunk = len(first[0])
        self._specs = [Spec(part.shape[1:], part.dtype) for part in first]
        self.x, self.y = self._specs[:2]
        self.w = self._specs[2] if len(first) > 2 else None
        self._batches = len(dataset)
        self._last = len(self._batch(self._batches - 1)[0])
        self._count = (self._batches - 1) * self.chunk + self._last
        self._check(self._batches - 1)

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Indices) -> Slice:
        """Return features and labels of these samples, and their weights; each batch that holds some is made once."""
        found = tuple(np.empty((len(indices), *spec.shape), spec.dtype) for spec in self._specs)
        numbers, offsets = np.divmod(np.asarray(indices, np.int64), self.chunk)
        for number in np.unique(numbers):
            inside = numbers == number
            for array, part in zip(found, self._check(int(number)), strict=True):
                array[inside] = part[offsets[inside]]
        return found

    def _check(self, number: int) -> Slice:
        """Return a batch. Raises UsageError for one that is not like the first: samples would be taken for others."""
        batch = self._batch(number)
        count = self._last if number == self._batches - 1 else self.chunk
        shapes = [(part.shape, part.dtype) for part in batch]
        expected = [((count, *spec.shape), spec.dtype) for spec in self._specs]
        if shapes != expected:
            raise UsageError(
                f"--data: batch {number} of {self._name} has {_shapes(shapes)}; expected {_shapes(expected)}: all "
                "batches but the last have one size, so that each sample has a number"
            )
        return batch

    def _batch(self, number: int) -> Slice:
        with self._lock:
            if number not in self._kept:
                try:
                    batch = self._dataset[number]
                except (OSError, ValueError) as error:  # as of Given
                    index = number * self.chunk
                    where = f"{self._name}, batch {number}"
                    raise BadSample(index, where, f"raised {type(error).__name__}: {error}") from error
                pair = isinstance(batch, (tuple, list)) and len(batch) in (2, 3)
                if not pair or any(isinstance(part, (dict, tuple)) for part in batch):
                    raise UsageError(
                        f"--data: a batch of {self._name} is {_what(batch)}; expected (x, y) or (x, y, weights), each "
                        f"one array. {IN_MEMORY}"
                    )
                self._kept = {number: tuple(map(np.asarray, batch))}
            return self._kept[number]


def _what(found: Any) -> str:
    if not isinstance(found, (tuple, list)):
        return f"a {type(found).__name__}"
    kinds = ["several arrays" if is_structure(part) else "an array" for part in found]
    return f"({', '.join(kinds)}{',' if len(kinds) == 1 else ''})"


def _shapes(found: list[tuple[tuple[int, ...], Any]]) -> str:
    return ", ".join(f"{dtype} {shape}" for shape, dtype in found)
