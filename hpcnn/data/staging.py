"""Stage a known data set: fetch it once, on a machine with internet, into the folder that compute nodes read.

The only module of hpcnn that downloads anything, by Keras's own loaders.
"""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.data.sequences import concatenated
from hpcnn.data.sources import from_catalogue
from hpcnn.data.structure import KEYS
from hpcnn.util.errors import HpcnnError
from hpcnn.util.extras import optional_module
from hpcnn.util.files import open_own, replacing
from hpcnn.zoo.catalogue import FOLDER_VARIABLE, Entry, describe, staged_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hpcnn.data.dataset import Arrays
    from hpcnn.util.types import Array

# Keep every word of the texts: a training chooses the number of words when it reads them.
_LOADERS = {name: {"num_words": 2**31} for name in ("imdb", "reuters")}


@dataclass(frozen=True)
class Staged:
    """The result of ``stage``: ``status`` is "built in", "already staged" or "written"."""

    name: str
    status: str
    file: Path | None
    message: str


def stage(
    name: str,
    folder: Path | None = None,
    *,
    force: bool = False,
    progress: Callable[[str], None] = lambda message: None,
) -> Staged:
    """Fetch ``name`` into ``folder`` (default: ``data_folder()``) as ``NAME.npz``, atomically.

    ``force``: replace a file that exists. ``progress`` gets a message for each step.
    Raises UsageError for an unknown name, and HpcnnError if the download or the writing fails.
    """
    entry = describe(name)
    if entry.built_in:
        return Staged(name, "built in", None, f"{name} comes with scikit-learn and needs no staging")
    file = staged_file(name, folder)
    if file.exists() and not force:
        return Staged(name, "already staged", file, f"{file} is already staged (--force fetches it again)")
    _make_writable(file.parent)
    progress(f"fetching {name} with Keras")
    arrays = _fetch(entry)
    progress(f"writing {file}")
    _write(file, _plain(arrays))
    hint = "" if file == staged_file(name) else f"; to use it, set {FOLDER_VARIABLE}={file.parent}"
    return Staged(name, "written", file, f"wrote {file}{hint}")


def _make_writable(folder: Path) -> None:
    """Create the folder. Raises HpcnnError, before the download, if files cannot be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HpcnnError(f"data stage: cannot make the folder {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise HpcnnError(f"data stage: cannot write to the folder {folder}: permission denied")


def _fetch(entry: Entry) -> Arrays:
    """Return the four arrays of Keras's loader, checked against the catalogue entry."""
    loader = optional_module(f"keras.datasets.{entry.name}", f"staging {entry.name!r}")
    try:
        # Keras draws its progress bar on standard output, which belongs to the rows of the command.
        with contextlib.redirect_stdout(io.StringIO()):
            (x_train, y_train), (x_test, y_test) = loader.load_data(**_LOADERS.get(entry.name, {}))
    except Exception as error:  # Keras raises a bare Exception for a download that failed
        raise HpcnnError(
            f"data stage: {entry.name!r} could not be fetched: {error}. Nothing was written. "
            "Run this where there is internet, on a login node."
        ) from error
    arrays = (x_train, y_train, x_test, y_test)
    if not entry.options:
        from_catalogue(entry, arrays, "as Keras gave it")
    return arrays


def _plain(arrays: Arrays) -> dict[str, Array]:
    """Return the arrays by name, texts of different lengths concatenated, so that no reader has to unpickle."""
    found: dict[str, Array] = {}
    for key, array in zip(KEYS, arrays, strict=True):
        if array.dtype.hasobject:
            found[key], found[f"{key}_lengths"] = concatenated(array)
        else:
            found[key] = array
    return found


def _write(file: Path, arrays: dict[str, Array]) -> None:
    """Write the arrays atomically: a reader sees the old file or the new one, never a part."""
    with replacing(file) as temporary, open_own(temporary, "wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
