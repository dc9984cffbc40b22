"""Read ``zarr:DIR[#x,y]``: groups of Zarr, read a chunk at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpcnn.data.copies import copy_of
from hpcnn.data.stream.hdf5 import open_named
from hpcnn.data.stream.rows import ChunkedRows, Rows
from hpcnn.data.stream.source import Source
from hpcnn.util.errors import UsageError
from hpcnn.util.extras import optional_module
from hpcnn.zoo.forms import Location


def open_zarr(location: Location) -> tuple[Source, Source | None]:
    """Return training and test samples, from arrays of the names that HDF5 files have."""
    groups = [(folder, _opened(folder)) for folder in location.files(location.training)]
    return open_named(location, groups, [(folder, _opened(folder)) for folder in location.files(location.test)], _rows)


def _opened(folder: Path) -> Any:
    zarr = optional_module("zarr", "data of the form zarr", "data")
    try:
        return zarr.open_group(str(copy_of(folder)), mode="r")
    except Exception as error:  # the classes of Zarr 2 and 3 differ, and their stores have their own
        raise UsageError(f"--data: {folder} cannot be read as a group of Zarr: {error}") from error


def _rows(array: Any) -> Rows:
    return ChunkedRows(array, array.chunks[0])
