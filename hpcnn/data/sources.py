"""Read data sets: from scikit-learn, an ``.npz`` file, or a user's function.

Each reader returns the whole set as a checked ``DataSet``. None downloads anything (``staging.py`` does).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hpcnn.data.copies import copy_of
from hpcnn.data.dataset import PIXEL_MAX, Arrays, DataSet
from hpcnn.data.given import data_set_of
from hpcnn.data.stream.opened import NO_OPTIONS, Options
from hpcnn.data.structure import KEYS, WEIGHTS
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.extras import optional_module
from hpcnn.util.types import Array, Json
from hpcnn.util.unreadable import UNREADABLE
from hpcnn.util.user import expanded
from hpcnn.util.user_code import import_function
from hpcnn.zoo.catalogue import Entry, check_staged, describe, staged_file

# In scikit-learn's digits, each of 8x8 pixels counts the dark ones of 4x4 bits.
DIGITS_MAX = 16


def digits_pixels(counts: Array) -> Array:
    """Convert counts of dark bits, (N, 8, 8) numbers 0..16, to images (N, 28, 28) (see ``read_digits``)."""
    pixels = np.rint(counts * PIXEL_MAX / DIGITS_MAX).astype(np.uint8)
    return np.pad(pixels.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))


def read_digits() -> DataSet:
    """Read scikit-learn's 1797 real digits as 28x28 images, 1437 to train on and 360 to test on.

    Each of the 8x8 pixels is repeated to 3x3 (24x24 in all), a border of 2 zero pixels is added as MNIST has
    one, and the values 0..16 become round(value * 255 / 16). The split is one fixed permutation.
    """
    images, labels = _digits()
    bordered = digits_pixels(images.reshape(-1, 8, 8))
    entry = describe("digits")
    # NumPy guarantees a fixed stream of RandomState, and not of a Generator (NEP 19).
    order = np.random.RandomState(0).permutation(len(labels))
    train, test = order[: entry.train], order[entry.train :]
    return from_catalogue(entry, (bordered[train], labels[train], bordered[test], labels[test]), "scikit-learn")


def _digits() -> tuple[Array, Array]:
    """Read scikit-learn's images, (N, 64) numbers 0..16, and labels, as its ``load_digits`` does.

    Reads scikit-learn's own file, if it is where scikit-learn 1.5 to 1.9 have it: importing ``sklearn.datasets`` takes
    every rank of every training a second.
    """
    package = importlib.util.find_spec("sklearn")
    file = Path(package.origin or "").with_name("datasets") / "data" / "digits.csv.gz" if package else None
    if file is None or not file.is_file():
        found = optional_module("sklearn.datasets", "data set 'digits'").load_digits(return_X_y=True)
        return found[0], found[1]
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)


def read_staged(name: str) -> DataSet:
    """Read a known data set from its staged file. Raises UsageError, saying how to stage it, if there is none."""
    return from_catalogue(describe(name), read_arrays(staged_path(name)), str(staged_file(name)))


def staged_path(name: str) -> Path:
    """Return the file of a known data set: the node's own copy or the staged one. Raises as ``check_staged``."""
    check_staged(name)
    return copy_of(staged_file(name))


def read_npz(name: str, options: Options = NO_OPTIONS) -> DataSet:
    """Read a user's data set from the ``.npz`` file at path ``name``, with Keras's names of arrays.

    It may hold the weights of samples or of pixels, too (WEIGHTS).
    """
    file = expanded(name)
    path = copy_of(file)
    arrays = read_arrays(path)
    train_weights, test_weights = (_if_there(path, key) for key in WEIGHTS)
    return DataSet(
        name,
        *arrays,
        source=str(file),
        train_weights=train_weights,
        test_weights=test_weights,
        ignore_label=options.ignore_label,
    ).without_doubt()


def _if_there(file: Path, key: str) -> Array | None:
    """Return an array of a file that has been read already; None where it has no array of this name."""
    with np.load(file, allow_pickle=False) as archive:
        if key not in archive:
            return None
    (found,) = read_named(file, (key,))
    return found


def read_function(name: str, arguments: Mapping[str, Json], options: Options = NO_OPTIONS) -> DataSet:
    """Call a user's ``package.module:function`` with these keywords, and return its data set.

    The function returns (x_train, y_train), (x_test, y_test), as Keras's loaders do, or a DataSet; each of the four may
    be a dictionary or a tuple of arrays, and each pair may have the weights of its samples after it. Instead of a pair,
    each part may be a source (``stream/given.py``), which is read a slice at a time. Modules in the working directory
    are found, as ``python -m`` finds them. An exception of the user's code passes unchanged.
    """
    function = import_function("--data", name)
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise UsageError(f"--data-arg: {name}{inspect.signature(function)}: {error}") from error
    return data_set_of(name, function(**arguments), options)


def from_catalogue(entry: Entry, arrays: Arrays, origin: str) -> DataSet:
    """Make the DataSet of a known set from its ``arrays``, checked against its catalogue entry.

    ``origin``: the source of the arrays, for errors. Raises UsageError for images of another shape, and for an MNIST in
    any but the original order: the lectures train on "the first 500", which in a copy sorted by class would all be
    zeros.
    """
    data = DataSet(
        entry.name,
        *arrays,
        classes=entry.classes,
        description=entry.description,
        source=entry.source,
        notes=part_notes(entry, len(arrays[0]), len(arrays[2])),
    )
    again = f"Stage it afresh: hpcnn data stage {entry.name} --force"
    if data.input_shape != entry.shape:
        raise UsageError(
            f"data set {entry.name!r} ({origin}): the images have shape {data.input_shape}; "
            f"expected {entry.shape}. {again}"
        )
    begins = tuple(data.y_train[: len(entry.first_labels)].tolist())
    if begins != entry.first_labels:
        raise UsageError(
            f"data set {entry.name!r} ({origin}): the training labels begin {_words(begins)}; in the "
            f"original order, {_words(entry.first_labels)}. 'The first 500' are others here. {again}"
        )
    return data


def read_arrays(file: Path) -> Arrays:
    """Read the four arrays of an ``.npz`` file with Keras's names. Never executes code in the file."""
    x_train, y_train, x_test, y_test = read_named(file, KEYS)
    return x_train, y_train, x_test, y_test


def read_named(file: Path, *choices: Sequence[str]) -> tuple[Array, ...]:
    """Read arrays of an ``.npz`` file: those of the first set of names in ``choices`` that it holds completely."""
    if not file.is_file():
        raise bad_value("--data", str(file), "an .npz file, and there is none at this path")
    try:
        file.open("rb").close()
    except OSError as error:
        raise UsageError(f"--data: {file} cannot be read: {error.strerror}") from error
    if not zipfile.is_zipfile(file):
        raise bad_value("--data", str(file), "a readable and whole .npz file, as numpy.savez writes it")
    try:
        with np.load(file, allow_pickle=False) as archive:
            for keys in choices:
                if all(key in archive for key in keys):
                    return tuple(archive[key] for key in keys)
            missing = [key for key in choices[0] if key not in archive]
            found = ", ".join(archive) or "nothing"
            raise UsageError(
                f"--data: {file} lacks {', '.join(missing)}; found {found}; "
                f"expected {', or '.join(map(', '.join, choices))} (the names Keras uses)."
            )
    except MemoryError as error:
        raise UsageError(f"--data: {file} does not fit into the memory of this machine: {error}") from error
    except UNREADABLE as error:
        raise UsageError(f"--data: {file} cannot be read as plain arrays: {error}") from error


def part_notes(entry: Entry, train: int, test: int) -> tuple[str, ...]:
    """Return a note, for a run's record, on a staged file that holds only a part of the set."""
    if (train, test) == (entry.train, entry.test):
        return ()
    return (f"the file holds {train} + {test} of the {entry.train} + {entry.test} samples of {entry.name}",)


def _words(numbers: tuple[int, ...]) -> str:
    return " ".join(map(str, numbers))
