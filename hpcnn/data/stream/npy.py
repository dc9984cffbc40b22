"""Read ``npy:DIR`` and ``npy:X.npy,Y.npy``: NumPy's own files, mapped into memory.

Weights of samples or pixels are ``weights_train.npy`` and ``weights_test.npy``, or a third file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpcnn.data.copies import copy_of
from hpcnn.data.labels import kind_of_same
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
        return _of_folder(files[0], "train"), _of_folder(files[0], "test")
    if len(files) not in (2, 3):
        raise bad_value("--data", f"npy:{','.join(location.training)}", FORMS["npy"])
    test = location.files(location.test)
    return _pair(*files), _pair(*test) if test else None


def _of_folder(folder: Path, part: str) -> Source:
    weights = folder / f"weights_{part}.npy"
    return _pair(folder / f"x_{part}.npy", folder / f"y_{part}.npy", *([weights] if weights.exists() else []))


def _pair(x: Path, y: Path, *weights: Path) -> Source:
    rows = MappedRows(mapped(x))
    kind = kind_of_same(rows.dtype) if x == y else None
    return Pairs([(str(x), rows, MappedRows(mapped(y)))], [MappedRows(mapped(file)) for file in weights], kind)


def mapped(file: Path) -> Array:
    """Return the array of an ``.npy`` file, of which only what is touched is read. Never executes code in the file."""
    try:
        array: Array = np.load(copy_of(file), mmap_mode="r", allow_pickle=False)
        return array
    except FileNotFoundError as error:
        raise bad_value("--data", str(file), "an .npy file, and there is none at this path") from error
    except UNREADABLE as error:
        raise UsageError(f"--data: {file} cannot be read as a plain array: {error}") from error
