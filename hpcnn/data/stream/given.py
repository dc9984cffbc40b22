"""What a user's function may return instead of arrays: sources, arrays on disk, PyDatasets, a tf.data.Dataset.

Must not import TensorFlow, Keras or the libraries of the files: what there is of them, the user has imported.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from hpcnn.data.stream.pairs import Pairs
from hpcnn.data.stream.rows import ChunkedRows, MappedRows, Rows
from hpcnn.data.stream.source import Indices, Slice, Source, Spec, Wrapped
from hpcnn.data.stream.streamed import StreamedSet
from hpcnn.data.stream.streamed import source_of as source_of_column
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array


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
    parts = isinstance(given, (tuple, list)) and len(given) in (2, 3)
    if parts and any(map(_on_disk, given)) and all(_on_disk(part) or isinstance(part, np.ndarray) for part in given):
        return Pairs([(name, _rows(given[0]), _rows(given[1]))], [_rows(part) for part in given[2:]])
    return None


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
    return isinstance(value, np.memmap) or (root in ("h5py", "zarr") and hasattr(value, "shape"))


def _rows(array: Any) -> Rows:
    root = type(array).__module__.partition(".")[0]
    if root == "h5py":
        from hpcnn.data.stream.hdf5 import rows_of

        return rows_of(array)
    return ChunkedRows(array, array.chunks[0]) if root == "zarr" else MappedRows(array)


def has_numbers(data: Any) -> bool:
    """Return whether the samples of a set can be read by number: not those of a ``tf.data.Dataset``."""
    return not isinstance(data, StreamedSet) or not isinstance(_innermost(data.x_train), Passing)


def take_share(data: StreamedSet, rank: int, size: int) -> None:
    """Let a rank read only its own elements where samples have no numbers."""
    for column in (data.x_train, data.x_test):
        source = _innermost(column)
        if isinstance(source, Passing):
            source.share(rank, size)


def _innermost(column: Any) -> Source:
    source = source_of_column(column)
    while isinstance(source, Wrapped):
        source = source.inner
    return source


class Given(Source):
    """A user's own object with ``len`` and ``read(indices) -> (x, y)``; its first sample tells shapes and types.

    It may return (x, y, weights), too.
    """

    def __init__(self, name: str, given: Any) -> None:
        self._name, self._given = name, given
        self.classes = getattr(given, "classes", None)
        self.threads = getattr(given, "threads", 1)  # nothing says that it may be read by several
        self._specs = [Spec(part.shape[1:], part.dtype) for part in self._read(np.array([0]))]
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
        found = self._given.read(np.asarray(indices, np.int64))
        if not isinstance(found, (tuple, list)) or len(found) not in (2, 3):
            raise UsageError(
                f"--data: read() of {self._name} returned {type(found).__name__}; expected (x, y) or (x, y, weights)"
            )
        return tuple(map(np.asarray, found))


class Batches(Source):
    """A ``keras.utils.PyDataset``: its batches are chunks of samples, all of the same size but the last.

    Its samples are read by number, in hpcnn's order, so the result does not depend on the number of ranks. The batch
    that was read last stays in memory.
    """

    threads = 1

    def __init__(self, name: str, dataset: Any) -> None:
        self._name, self._dataset = name, dataset
        if not len(dataset):
            raise UsageError(f"--data: {name} returned an empty PyDataset")
        self._kept: dict[int, tuple[Array, Array]] = {}
        self._lock = threading.Lock()
        x, y = self._batch(0)
        self.chunk = len(x)
        self._count = (len(dataset) - 1) * self.chunk + len(self._batch(len(dataset) - 1)[0])
        self.x, self.y = Spec(x.shape[1:], x.dtype), Spec(y.shape[1:], y.dtype)

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Indices) -> tuple[Array, Array]:
        """Return features and labels of these samples; each batch that holds some is made once."""
        x = np.empty((len(indices), *self.x.shape), self.x.dtype)
        y = np.empty((len(indices), *self.y.shape), self.y.dtype)
        numbers, offsets = np.divmod(np.asarray(indices, np.int64), self.chunk)
        for number in np.unique(numbers):
            inside = numbers == number
            features, labels = self._batch(int(number))
            x[inside], y[inside] = features[offsets[inside]], labels[offsets[inside]]
        return x, y

    def _batch(self, number: int) -> tuple[Array, Array]:
        with self._lock:
            if number not in self._kept:
                batch = self._dataset[number]
                if not isinstance(batch, (tuple, list)) or len(batch) != 2:
                    raise UsageError(f"--data: a batch of {self._name} is no pair (x, y)")
                self._kept = {number: (np.asarray(batch[0]), np.asarray(batch[1]))}
            return self._kept[number]


class Passing(Source):
    """A ``tf.data.Dataset`` of known length, read from its begin to its end, again and again: not by number.

    Of its elements each rank gets its own (``share``), in the dataset's own order. So hpcnn's shuffle does not touch
    them, and what is learnt depends on the number of ranks.
    """

    threads = 1

    def __init__(self, name: str, dataset: Any) -> None:
        element = dataset.element_spec
        if not isinstance(element, tuple) or len(element) != 2:
            raise UsageError(f"--data: the elements of {name} are no pairs (x, y)")
        length = int(dataset.cardinality())
        if length < 0:
            raise UsageError(
                f"--data: {name} returned a tf.data.Dataset of {'infinite' if length == -1 else 'unknown'} length, so "
                "an epoch has no end; tell its length: dataset.apply(tf.data.experimental.assert_cardinality(N))"
            )
        self._name = name
        self._dataset, self._count = dataset, length
        shapes = [tuple(part.shape) for part in element]
        if any(size is None for shape in shapes for size in shape):
            raise UsageError(f"--data: {name}: the elements have shapes {shapes}; return samples without batches")
        self.x, self.y = (Spec(tuple(part.shape), np.dtype(part.dtype.as_numpy_dtype)) for part in element)
        self._lock = threading.Lock()
        self._elements: Iterator[Any] = iter(())

    def __len__(self) -> int:
        return self._count

    def share(self, rank: int, size: int) -> None:
        """Read only this rank's elements from now on: every ``size``-th."""
        self._dataset, self._elements = self._dataset.shard(size, rank), iter(())

    def read(self, indices: Indices) -> tuple[Array, Array]:
        """Return as many samples as are asked for, the next ones, whatever their numbers."""
        with self._lock:
            pairs = [self._next() for _ in indices]
        return np.stack([x for x, _ in pairs]), np.stack([y for _, y in pairs])

    def _next(self) -> Any:
        for _ in range(2):
            for pair in self._elements:
                return pair
            self._elements = self._dataset.as_numpy_iterator()
        raise UsageError(f"--data: {self._name} has no elements for this rank")
