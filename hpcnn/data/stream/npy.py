"""Read ``npy:DIR`` and ``npy:X.npy,Y.npy``: NumPy's own files, mapped into memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpcnn.data.stream.pairs import Pairs
from hpcnn.data.stream.rows import MappedRows
from hpcnn.data.stream.source import Source
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.types import Array
from hpcnn.util.unreadable import UNREADABLE
from hpcnn.zoo.forms import FORMS, Location


def open_npy(location: Location) -> tuple[Source, Source | None]:
    """Return training and test samples; no test samples where they are to be split off."""
    files = location.files(location.training)
    if len(files) == 1 and files[0].is_dir():
        parts = [_pair(*(files[0] / f"{kind}_{part}.npy" for kind in "xy")) for part in ("train", "test")]
        return parts[0], parts[1]
    if len(files) != 2:
        raise bad_value("--data", f"npy:{','.join(location.training)}", FORMS["npy"])
    test = location.files(location.test)
    return _pair(*files), _pair(*test) if test else None


def _pair(x: Path, y: Path) -> Source:
    return Pairs([(str(x), MappedRows(mapped(x)), MappedRows(mapped(y)))])


def mapped(file: Path) -> Array:
    """Return the array of an ``.npy`` file, of which only what is touched is read. Never executes code in the file."""
    try:
        array: Array = np.load(file, mmap_mode="r", allow_pickle=False)
        return array
    except FileNotFoundError as error:
        raise bad_value("--data", str(file), "an .npy file, and there is none at this path") from error
    except UNREADABLE as error:
        raise UsageError(f"--data: {file} cannot be read as a plain array: {error}") from error
