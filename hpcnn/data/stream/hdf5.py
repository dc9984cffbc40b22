"""Read ``h5:FILES[#x,y]`` with h5py: arrays in one piece are mapped into memory, others are read in their chunks."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from hpcnn.data.copies import copy_of, refuse
from hpcnn.data.labels import kind_of_same
from hpcnn.data.stream.pairs import Pairs, name_of
from hpcnn.data.stream.rows import ChunkedRows, MappedRows, Rows
from hpcnn.data.stream.source import Source
from hpcnn.data.structure import KEYS, WEIGHTS
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.extras import optional_module
from hpcnn.util.unreadable import UNREADABLE
from hpcnn.zoo.forms import Location

# Of more chunks nobody asks whether each is there: it takes Zarr a look at as many files.
_MOST_CHUNKS = 10_000


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
        source = Pairs(files, [rows(_array(path, f, w)) for path, f in parts] if w else [], kind)
        names = (x, y, w) if w else (x, y)
        source.notes = tuple(filter(None, (_note(path, name, f[name]) for path, f in parts for name in names)))
        return source

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
    for source in array.virtual_sources() if getattr(array, "is_virtual", False) else ():
        _check_there(path, name, source.file_name)
    return array


def _check_there(path: Path, name: str, source: str) -> None:
    """Raise UsageError for a file of a virtual dataset that is missing: HDF5 would give zeros in its place."""
    if source != "." and "%b" not in source and not (path.parent / source).exists():
        raise UsageError(f"--data: {path}#{name} is made of other files, and {source} is not there: it would be zeros")


def _note(path: Path, name: str, array: Any) -> str | None:
    """Return what is told of an array of which chunks were never written; None for a whole one."""
    found = _chunks(array)
    if found is None or found[0] >= found[1]:
        return None
    there, whole = found
    return f"{path}#{name}: {whole - there:,} of {whole:,} chunks were never written, and are read as the fill value"


def _chunks(array: Any) -> tuple[int, int] | None:
    """Return how many chunks of an array are there, and how many it has; None where nobody can tell cheaply."""
    with contextlib.suppress(*UNREADABLE):
        whole = int(np.prod([-(-size // chunk) for size, chunk in zip(array.shape, array.chunks or (), strict=False)]))
        if whole > _MOST_CHUNKS or getattr(array, "is_virtual", False):
            return None
        if hasattr(array, "nchunks_initialized"):  # of Zarr
            return int(array.nchunks_initialized), int(array.nchunks)
        return int(array.id.get_num_chunks()) if array.chunks else int(array.id.get_storage_size() > 0), whole
    return None


def _opened(file: Path) -> tuple[Path, Any]:
    h5py = optional_module("h5py", "data of the form h5", "data")
    copy = copy_of(file)
    try:
        opened = h5py.File(copy, "r")
        if copy != file and _refers(opened, h5py):
            refuse(file, "it refers to other files, which a copy elsewhere would not find")
            opened.close()
            opened = h5py.File(file, "r")
    except UNREADABLE as error:
        raise UsageError(f"--data: {file} cannot be read as HDF5: {error}") from error
    return file, opened


def _refers(group: Any, h5py: Any) -> bool:
    """Return whether anything below a group is in another file: by a link, as a virtual dataset, or as raw data."""
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
            return True
        inside = group.get(name)
        below = f"{group.name.rstrip('/')}/{name}"
        if isinstance(inside, h5py.Group) and inside.name == below:  # and no link to a group above
            if _refers(inside, h5py):
                return True
        elif isinstance(inside, h5py.Dataset) and (inside.is_virtual or inside.external):
            return True
    return False


def rows_of(array: Any) -> Rows:
    """Return the rows of a dataset of h5py. One piece of plain numbers is at an offset of its file: no library needed.

    Fancy indexing by h5py takes milliseconds for a batch; a mapped array takes what it takes to copy it.
    """
    offset = array.id.get_offset()
    plain = array.chunks is None and offset is not None and array.dtype.kind in "uifb" and not array.external
    if plain and array.file.driver == "sec2":
        return MappedRows(np.memmap(array.file.filename, array.dtype, "r", offset, array.shape))
    return ChunkedRows(array, array.chunks[0] if array.chunks else 1)
