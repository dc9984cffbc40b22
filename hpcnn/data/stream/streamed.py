"""A data set that stays on disk: what ``DataSet`` is for arrays in memory, with columns that are read when needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcnn.data import labels
from hpcnn.data.dataset import DataSet
from hpcnn.data.stream.clean import Clean
from hpcnn.data.stream.source import Indices, Source
from hpcnn.data.stream.tolerant import Tolerant
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array

# Labels that are read to count the classes; of more, and of labels that cannot be read alone, a sample.
MANY_LABELS, _SOME_LABELS, _AT_A_TIME = 20_000_000, 10_000, 1_000_000
# Samples that are read to find values in general: a range, rows of one-hot labels.
_SOME, _PIECES = 1_000, 16
# Maps that are read to tell their kind; bytes of maps that are read to count the classes, all and at a time.
_SOME_MAPS, _MAP_BYTES, _PART_BYTES = 16, 2**30, 2**24


class Column:
    """The features or the labels of a source, as far as it looks like an array; ``source`` reads them."""

    def __init__(self, source: Source, number: int) -> None:
        self.source, self._number = source, number
        spec = (source.x, source.y)[number]
        self.shape, self.dtype = (len(source), *spec.shape), spec.dtype

    @property
    def ndim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Array) -> Array:
        indices = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows)
        return self.source.labels(indices) if self._number else self.source.read(indices)[0]

    def all_or_some(self) -> Array:
        """Return all labels where they can be counted, else those of some samples."""
        whole = self.source.cheap_labels and len(self) <= MANY_LABELS
        return self[:] if whole else self.some()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self[:].astype(dtype or self.dtype, copy=False)

    def some(self) -> Array:
        """Return samples from everywhere in the set: all of a small one."""
        return self[examples(self.source, _SOME)]

    def min(self) -> Any:
        """Return the smallest value of some samples."""
        return self.some().min()

    def max(self) -> Any:
        """Return the largest value of some samples."""
        return self.some().max()


@dataclass(frozen=True, eq=False)
class StreamedSet(DataSet):
    """Training and test samples of one array of features and one of labels each, which stay on disk.

    ``x_train`` and so on are of type ``Column``. classes: as given, as the files say, or as the labels have it.
    """

    def __post_init__(self) -> None:
        train, test = source_of(self.x_train), source_of(self.x_test)
        for kind in "xy":
            one, other = getattr(train, kind), getattr(test, kind)
            if one != other:
                raise UsageError(
                    f"data set {self.name!r}: {kind} of the test set is {other.dtype} {other.shape}; expected "
                    f"{one.dtype} {one.shape}, as in training"
                )
        if not len(train) or not len(test):
            raise UsageError(
                f"data set {self.name!r}: {len(train)} training and {len(test)} test samples; both need one"
            )
        _check_one_hot(self.name, self.y_train)
        if self.kind is None:
            object.__setattr__(self, "kind", kind_on_disk(self.name, train, test)[0])
        self._check_ignored()
        has_classes = self.kind in (labels.CLASSES, labels.MAP)
        found = (self.classes or self._count_classes(train, test)) if has_classes else 0
        found = max(found, 2) if self.kind == labels.MAP else found
        object.__setattr__(self, "classes", found)
        if found:
            for source in (train, test):
                clean_of(source).limit = found

    def _count_classes(self, train: Source, test: Source) -> int:
        """Return the number of classes that the labels have. Raises UsageError where the largest is probably none."""
        smallest, largest, there = np.iinfo(np.int64).max, 0, set[int]()
        for source in (train, test):
            for part in _parts(source):
                found = labels.valid(source.labels(part), self.ignore_label)
                if found.size:
                    smallest, most = min(smallest, int(found.min())), int(found.max())
                    largest = max(largest, most)
                    there |= labels.present(found) if source.y.shape and most >= labels.FEW else {most}
        reason = labels.no_class(there, self.ignore_label) if self.kind == labels.MAP else None
        if reason:
            instead = f"--data-arg classes={largest + 1} has all of them as classes"
            raise UsageError(f"data set {self.name!r}: {reason}; {instead}")
        if 0 < smallest <= largest:
            self._tell(labels.without_zero(smallest, largest))
        return largest + 1


def streamed_set(name: str, train: Source, test: Source, classes: int | None = None, **facts: Any) -> StreamedSet:
    """Return the set of cleaned sources."""
    x_train, y_train, x_test, y_test = (Column(source, number) for source in (train, test) for number in (0, 1))
    columns: dict[str, Any] = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    return StreamedSet(name, **columns, classes=classes or train.classes or 0, **facts)


def source_of(column: Any) -> Source:
    """Return the source of features or labels of a set on disk."""
    assert isinstance(column, Column)
    return column.source


def clean_of(source: Source) -> Clean:
    """Return the cleaning part of a source."""
    while not isinstance(source, Clean):
        source = source.inner  # type: ignore[attr-defined]
    return source


def bad_of(source: Source) -> dict[int, str]:
    """Return the bad samples that a source has met, by number."""
    while not isinstance(source, Tolerant):
        source = source.inner  # type: ignore[attr-defined]
    return source.bad


def examples(source: Source, count: int) -> Indices:
    """Return up to ``count`` numbers from everywhere in a source; the first ones of what is read in its order only."""
    if source.sequential:
        return np.arange(min(count, len(source)))
    return spread(len(source), count, source.chunk)


def spread(samples: int, count: int, chunk: int = 1) -> Indices:
    """Return up to ``count`` numbers from everywhere in a set, of few chunks where samples are read in chunks."""
    if samples <= count:
        return np.arange(samples)
    pieces = count if chunk == 1 else min(_PIECES, -(-samples // chunk))
    starts = ((np.arange(pieces) + 0.5) * (samples / pieces)).astype(np.int64) // chunk * chunk
    run = max(min(count // pieces, chunk), 1)
    found: Indices = (starts[:, None] + np.arange(run)).ravel()
    return found[found < samples]


def facts_of(data: DataSet) -> dict[str, Any]:
    """Return what is said of a set beside its samples and its classes, as keywords."""
    names = ("description", "source", "notes", "told", "kind", "one_hot", "ignore_label")
    return {name: getattr(data, name) for name in names}


def kind_on_disk(name: str, train: Source, test: Source) -> tuple[str, bool]:
    """Return the kind of labels, and whether maps come one-hot, from some samples where the type leaves it open."""
    if train.kind is not None:
        return train.kind, False
    shape, axes = train.y.shape, len(train.x.shape) + 1
    if len(train.x.shape) == 2 and train.x.dtype.kind in "ui":
        axes += 1  # the axis of channels that it will get
    if len(shape) < 3:  # nothing that values would decide
        some = [np.zeros((1, *source.y.shape), source.y.dtype) for source in (train, test)]
    else:
        some = [source.labels(examples(source, _SOME_MAPS)) for source in (train, test)]
    kind = labels.kind_of(some[0], some[1], axes)
    if kind is None:
        raise UsageError(
            f"data set {name!r}: the labels are {train.y.dtype} of shape {('N', *shape)}; expected class numbers (N,), "
            "integers of 0 and 1 (N, T), integers (N, H, W) with a class for each pixel, or floats of any shape"
        )
    one_hot = kind == labels.MAP and labels.has_channels(some[0], axes) and shape[-1] > 1
    return kind, one_hot


def _parts(source: Source) -> list[Indices]:
    """Return the numbers of the samples whose labels are looked at, some at a time."""
    count = len(source)
    if source.y.shape:
        return _parts_of_maps(source)
    if source.cheap_labels and count <= MANY_LABELS:
        return [np.arange(first, min(first + _AT_A_TIME, count)) for first in range(0, count, _AT_A_TIME)]
    return [examples(source, _SOME_LABELS)]


def _parts_of_maps(source: Source) -> list[Indices]:
    """Return the numbers of the maps to look at: all where they are few bytes, else some from everywhere."""
    size = max(source.y.bytes if source.cheap_labels else source.x.bytes, 1)
    chosen = examples(source, max(_MAP_BYTES // size, 1))
    at_a_time = max(_PART_BYTES // size, 1)
    return [chosen[first : first + at_a_time] for first in range(0, len(chosen), at_a_time)]


def _check_one_hot(name: str, y: Column) -> None:
    if y.ndim == 2:
        some = y.some()
        if np.isin(some, (0, 1)).all() and (some.sum(axis=1) == 1).all():
            raise UsageError(f"data set {name!r}: the labels are one-hot; expected class numbers, y.argmax(axis=1)")
        if some.dtype.kind != "f" and not np.isin(some, (0, 1)).all():
            raise UsageError(f"data set {name!r}: the labels have {y.shape[1]} integers a sample; expected 0 and 1")
