"""The data sets known by name, and the folder their staged files lie in.

Facts only: nothing here opens a file, so a login node can list it all at no cost.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hpcnn.errors import UsageError, unknown_value

FOLDER_VARIABLE = "HPCNN_DATA"


@dataclass(frozen=True)
class Entry:
    """What is known of a data set before it is read.

    ``shape`` is (H, W, C) of one image, in uint8 pixels, or (F,) of a sample of F numbers; ``train`` and ``test`` count
    all samples.
    ``first_labels`` are those the original training set begins with, where copies in another order are about.
    ``built_in`` sets come with an installed package and need no file.
    """

    name: str
    description: str
    source: str
    train: int
    test: int
    shape: tuple[int, ...]
    classes: int
    first_labels: tuple[int, ...] = ()
    built_in: bool = False


_CIFAR = "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"

_ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            "digits",
            "handwritten digits, 8x8 brought to 28x28; needs no file",
            "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998",
            train=1437,
            test=360,
            shape=(28, 28, 1),
            classes=10,
            built_in=True,
        ),
        Entry(
            "mnist",
            "handwritten digits",
            "Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Proc. IEEE 86 (1998) 2278",
            train=60_000,
            test=10_000,
            shape=(28, 28, 1),
            classes=10,
            first_labels=(5, 0, 4, 1, 9, 2, 1, 3, 1, 4),
        ),
        Entry(
            "fashion_mnist",
            "pictures of clothing, a drop-in for mnist",
            "H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747, 2017",
            train=60_000,
            test=10_000,
            shape=(28, 28, 1),
            classes=10,
        ),
        Entry(
            "cifar10",
            "colour photographs",
            _CIFAR,
            train=50_000,
            test=10_000,
            shape=(32, 32, 3),
            classes=10,
        ),
        Entry(
            "cifar100",
            "colour photographs, 100 fine classes",
            _CIFAR,
            train=50_000,
            test=10_000,
            shape=(32, 32, 3),
            classes=100,
        ),
        Entry(
            "blobs",
            "points of two clouds in the plane; needs no file",
            "drawn by scikit-learn's make_blobs, as in SciNet's lecture of 2017",
            train=400,
            test=100,
            shape=(2,),
            classes=2,
            built_in=True,
        ),
        Entry(
            "circles",
            "points of two circles, one in the other; needs no file",
            "drawn by scikit-learn's make_circles, as in SciNet's lecture of 2017",
            train=400,
            test=100,
            shape=(2,),
            classes=2,
            built_in=True,
        ),
        Entry(
            "beach",
            "seven days, to the beach or not; needs no file",
            "the table of SciNet's lecture of 2017",
            train=7,
            test=7,
            shape=(3,),
            classes=2,
            built_in=True,
        ),
    )
}


def known() -> tuple[str, ...]:
    """Return the names of the data sets hpcnn knows."""
    return tuple(_ENTRIES)


def describe(name: str) -> Entry:
    """Return what is known of data set ``name``. Raises UsageError, with a suggestion, for any other."""
    if name not in _ENTRIES:
        raise unknown_value("--data", name, known())
    return _ENTRIES[name]


def data_folder() -> Path:
    """Return the folder of staged files: ``HPCNN_DATA``, or ``hpcnn/data`` in the user's data folder."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()

    import platformdirs

    return platformdirs.user_data_path("hpcnn", appauthor=False) / "data"


def staged_file(name: str, folder: Path | None = None) -> Path:
    """Return the staged file of ``name``, there or not, in ``folder`` (default: ``data_folder()``)."""
    return (data_folder() if folder is None else folder.absolute()) / f"{name}.npz"


def file_of(name: str) -> Path | None:
    """Return the file that data set ``name`` is read from, there or not; None for one that is not read from a file."""
    if name.endswith(".npz"):
        return Path(name).expanduser().absolute()
    if name not in known() or describe(name).built_in:
        return None
    return staged_file(name)


def check_name(name: str) -> None:
    """Raise UsageError for a ``name`` that is neither known, nor an ``.npz`` file, nor ``package.module:function``."""
    if not name.endswith(".npz") and ":" not in name and name not in known():
        unknown = unknown_value("--data", name, known())
        raise UsageError(f"{unknown} A path ending in .npz or package.module:function also works.")


def check_staged(name: str) -> None:
    """Raise UsageError, saying how to stage it, where a known data set's file is missing."""
    if name not in known() or describe(name).built_in:
        return
    file = staged_file(name)
    if not file.exists():
        raise UsageError(
            f"--data: {name!r} is not staged: there is no file {file}. Compute nodes have no internet: run "
            f"'hpcnn data stage {name}' on a login node, or set {FOLDER_VARIABLE} to the folder that holds {file.name}."
        )
