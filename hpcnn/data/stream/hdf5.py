"""Read ``h5:FILES[#x,y]`` with h5py: arrays in one piece are mapped into memory, others are read in their chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpcnn.data.labels import kind_of_same
from hpcnn.data.stream.pairs import Pairs, name_of
from hpcnn.data.stream.rows import ChunkedRows, MappedRows, Rows
from hpcnn.data.stream.source import Source
from hpcnn.data.structure import KEYS, WEIGHTS
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.extras import optional_module
from hpcnn.util.unreadable import UNREADABLE
from hpcnn.zoo.forms import Location


def open_hdf5(location: Location) -> tuple[Source, Source | None]:
    """Return training and test samples; no test samples where they are to be split off.

    Without names, the files have Keras's: ``x_train``, ``y_train``, ``x_test``, ``y_test``; or ``x`` and ``y``. Weights
    of samples or pixels are ``weights_train`` and ``weights_test``, or ``weights``, or the third name.
    """
    files = [_opened(file) for file in location.files(location.training)]
    return open_named(location, files, [_opened(file) for file in location.files(location.test)], rows_of)


def open_named(
    location: Location, files: list[tuple[Path, Any]], test: list[tuple[Path, Any]], rows: Any
) -> tuple[Source, Source | None]:
    """Return training and test samples of opened files or groups with named arrays. rows: of (file, array)."""

    def pairs(parts: list[tuple[Path, Any]], x: str, y: str, w: str | None = None) -> Source:
        files = [(name_of(path, x), rows(_array(path, f, x)), rows(_array(path, f, y))) for path, f in parts]
        kind = kind_of_same(files[0][1].dtype) if x == y else None
        return Pairs(files, [rows(_array(path, f, w)) for path, f in parts] if w else [], kind)

    def if_there(parts: list[tuple[Path, Any]], name: str) -> str | None:
        return name if all(name in file for _, file in parts) else None

    if location.names:
        return pairs(files, *location.names), pairs(test, *location.names) if test else None
    if not test and all(key in files[0][1] for key in KEYS):
        train_weights, test_weights = (if_there(files, name) for name in WEIGHTS)
        return pairs(files, KEYS[0], KEYS[1], train_weights), pairs(files, KEYS[2], KEYS[3], test_weights)
    weights = if_there([*files, *test], "weights")
    return pairs(files, "x", "y", weights), pairs(test, "x", "y", weights) if test else None


def _array(path: Path, file: Any, name: str) -> Any:
    array = file.get(name)
    if array is None or not hasattr(array, "shape") or not array.shape:
        found = ", ".join(key for key in file if hasattr(file[key], "shape")) or "no arrays"
        raise bad_value(
            "--data", f"{path}#{name}", f"the name of an array; there are {found} (#x,y names two, #x,y,weights three)"
        )
    return array


def _opened(file: Path) -> tuple[Path, Any]:
    h5py = optional_module("h5py", "data of the form h5", "data")
    try:
        return file, h5py.File(file, "r")
    except UNREADABLE as error:
        raise UsageError(f"--data: {file} cannot be read as HDF5: {error}") from error


def rows_of(array: Any) -> Rows:
    """Return the rows of a dataset of h5py. One piece of plain numbers is at an offset of its file: no library needed.

    Fancy indexing by h5py takes milliseconds for a batch; a mapped array takes what it takes to copy it.
    """
    offset = array.id.get_offset()
    plain = array.chunks is None and offset is not None and array.dtype.kind in "uifb" and not array.external
    if plain and array.file.driver == "sec2":
        return MappedRows(np.memmap(array.file.filename, array.dtype, "r", offset, array.shape))
    return ChunkedRows(array, array.chunks[0] if array.chunks else 1)
