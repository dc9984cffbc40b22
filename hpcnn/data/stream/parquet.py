"""Read ``parquet:FILES[#x,y]`` with pyarrow, a row group at a time.

The column y is one number; x is a number, or a list of numbers of one length in every row. Where the file says it
(key ``hpcnn.x_shape``, as ``hpcnn data convert`` writes it), x has a shape of several axes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from hpcnn.data.copies import copy_of
from hpcnn.data.stream.source import BadSample, Indices, Source, Spec
from hpcnn.util.errors import UsageError
from hpcnn.util.extras import optional_module
from hpcnn.util.files import parse_json
from hpcnn.util.types import Array
from hpcnn.zoo.forms import SUFFIXES, Location

SHAPE_KEY = b"hpcnn.x_shape"
_CACHE_BYTES = 256 * 2**20


def open_parquet(location: Location) -> tuple[Source, Source | None]:
    """Return training and test samples; no test samples where they are to be split off."""
    names = location.names or ("x", "y")
    files, test = location.parts(SUFFIXES[location.form])
    return RowGroups(files, names), RowGroups(test, names) if test else None


class RowGroups(Source):
    """Rows of several files, one after another."""

    cheap_labels = True
    threads = 1  # pyarrow has threads of its own, and a row group is read under a lock

    def __init__(self, files: list[Path], names: tuple[str, ...]) -> None:
        self._pq = optional_module("pyarrow.parquet", "data of the form parquet", "data")
        self._names, self._paths = names, files
        self._files = [self._opened(file) for file in files]
        self._groups = [
            (number, group) for number, file in enumerate(self._files) for group in range(file.metadata.num_row_groups)
        ]
        rows = [self._files[number].metadata.row_group(group).num_rows for number, group in self._groups]
        if not sum(rows):
            raise UsageError(f"--data: no row in {', '.join(map(str, files))}")
        self._starts = np.cumsum([0, *rows])
        self.chunk = rows[0]
        self._kept: OrderedDict[tuple[int, str], Array] = OrderedDict()
        self._lock = threading.Lock()
        self._shape = _shape_of(files[0], (self._files[0].schema_arrow.metadata or {}).get(SHAPE_KEY))
        x, y = self._column(0, names[0]), self._column(0, names[1])
        self.x, self.y = Spec(x.shape[1:], x.dtype), Spec(y.shape[1:], y.dtype)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, indices: Indices) -> tuple[Array, Array]:
        """Return features and labels of these samples; each row group that holds some is read once."""
        return self._take(indices, self._names[0], self.x), self.labels(indices)

    def labels(self, indices: Indices) -> Array:
        """Return the labels alone."""
        return self._take(indices, self._names[1], self.y)

    def where(self, index: int) -> str:
        """Return the file of a sample, its row group and its row there."""
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        file, number = self._groups[group]
        return f"{self._paths[file]}, row group {number}, row {index - int(self._starts[group])}"

    def _opened(self, file: Path) -> Any:
        try:
            opened = self._pq.ParquetFile(copy_of(file))
        except Exception as error:  # pyarrow's own classes
            raise UsageError(f"--data: {file} cannot be read as Parquet: {error}") from error
        for name in self._names:
            if name not in opened.schema_arrow.names:
                found = ", ".join(opened.schema_arrow.names)
                raise UsageError(f"--data: {file} has no column {name!r}; it has {found} (#x,y names two)")
        return opened

    def _take(self, indices: Indices, name: str, spec: Spec) -> Array:
        found = np.empty((len(indices), *spec.shape), spec.dtype)
        indices = np.asarray(indices, np.int64)
        groups = np.searchsorted(self._starts, indices, side="right") - 1
        for group in np.unique(groups):
            inside = groups == group
            column = self._column(int(group), name)
            if column.shape[1:] != spec.shape or column.dtype != spec.dtype:  # a cast would make other numbers of it
                index = int(indices[inside][0])
                found_there = f"{name} is {column.dtype} of shape {column.shape[1:]}"
                raise BadSample(index, self.where(index), f"{found_there}, not {spec.dtype} of shape {spec.shape}")
            found[inside] = column[indices[inside] - self._starts[group]]
        return found

    def _column(self, group: int, name: str) -> Array:
        with self._lock:
            key = (group, name)
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            file, number = self._groups[group]
            try:
                table = self._files[file].read_row_group(number, columns=[name])
                column = self._array(table.column(name).combine_chunks(), name)
            except (OSError, ValueError) as error:
                index = int(self._starts[group])
                raise BadSample(index, self.where(index), f"{name} cannot be read: {error}") from error
            self._kept[key] = column
            while sum(array.nbytes for array in self._kept.values()) > _CACHE_BYTES and len(self._kept) > 2:
                self._kept.popitem(last=False)
            return column

    def _array(self, column: Any, name: str) -> Array:
        rows = len(column)
        _check_filled(column)
        while hasattr(column, "flatten") and column.type.num_fields == 1:  # lists, and lists of lists
            if hasattr(column, "offsets") and len(set(np.diff(column.offsets.to_numpy()).tolist())) > 1:
                raise ValueError("its rows are lists of different lengths")
            column = column.flatten()
            _check_filled(column)
        values: Array = column.to_numpy(zero_copy_only=False)
        if values.dtype.hasobject or len(values) % max(rows, 1):
            raise ValueError("its rows are no numbers, or lists of different lengths")
        shape = self._shape if name == self._names[0] and self._shape is not None else None
        if len(values) == rows and shape is None:
            return values
        return values.reshape(rows, *(shape or (-1,)))


def _check_filled(column: Any) -> None:
    if column.null_count:
        raise ValueError(f"{column.null_count} of {len(column)} values are null")


def _shape_of(file: Path, text: bytes | None) -> tuple[int, ...] | None:
    """Return the shape of a sample that a file states; None where it states none."""
    if text is None:
        return None
    try:
        shape = parse_json(text.decode())
    except ValueError:
        shape = None
    if not isinstance(shape, list) or not all(type(length) is int and length > 0 for length in shape):
        raise UsageError(f"--data: {file} states the shape {text[:100]!r} of a sample, which is none")
    return tuple(shape)
