"""The catalogue of data sets, and the folder of their staged files.

Facts only: this module opens no file, so that a login node lists the data sets at no cost.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpcnn.util.errors import UsageError, bad_value, unknown_value
from hpcnn.util.types import Json
from hpcnn.util.user import expanded
from hpcnn.zoo import climate, forms, synthetic
from hpcnn.zoo.default import DEFAULT_MODEL

FOLDER_VARIABLE = "HPCNN_DATA"


@dataclass(frozen=True)
class Entry:
    """The facts about a data set that are known before it is read.

    ``shape`` is (H, W, C) of one image, in uint8 pixels, or (F,) of a sample of F numbers; ``train`` and ``test`` count
    all samples. ``classes`` is 0 for a regression. Samples of ``computed`` sets are floats, as many as are asked for,
    of the shape that their options say.
    ``model`` is the network of the zoo that is trained on it by default. ``options`` are those of ``--data-arg``, with
    their defaults.
    ``first_labels`` are the first labels of the original training set, for a set whose copies may have another order.
    ``built_in`` sets come with an installed package and need no file.
    """

    name: str
    description: str
    source: str
    train: int
    test: int
    shape: tuple[int, ...]
    classes: int
    model: str = DEFAULT_MODEL
    options: Mapping[str, Json] = field(default_factory=dict)
    first_labels: tuple[int, ...] = ()
    built_in: bool = False
    computed: bool = False


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
            model="psc-cnn-dropout",
        ),
        Entry(
            "cifar10",
            "colour photographs",
            _CIFAR,
            train=50_000,
            test=10_000,
            shape=(32, 32, 3),
            classes=10,
            model="wolter-cifar10-cnn",
        ),
        Entry(
            "cifar100",
            "colour photographs, 100 fine classes",
            _CIFAR,
            train=50_000,
            test=10_000,
            shape=(32, 32, 3),
            classes=100,
            model="wolter-cifar10-cnn",
        ),
        Entry(
            "blobs",
            "points of two clouds in the plane; needs no file",
            "drawn by scikit-learn's make_blobs, as in SciNet's lecture of 2017",
            train=400,
            test=100,
            shape=(2,),
            classes=2,
            model="scinet-neuron",
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
            model="scinet-hidden",
            built_in=True,
        ),
        Entry(
            "imdb",
            "film reviews as numbers of words, positive or negative",
            "A. L. Maas et al., Learning Word Vectors for Sentiment Analysis, ACL 2011, 142",
            train=25_000,
            test=25_000,
            shape=(256,),
            classes=2,
            model="imdb-embedding",
            options={"words": 10_000, "length": 256, "form": "sequence"},
        ),
        Entry(
            "reuters",
            "newswires as the words that are in them, 46 topics",
            "D. D. Lewis, Reuters-21578, 1997, in the form of keras.datasets",
            train=8_982,
            test=2_246,
            shape=(10_000,),
            classes=46,
            model="reuters-dense",
            options={"words": 10_000, "length": 256, "form": "bag"},
        ),
        Entry(
            "boston_housing",
            "house prices in 1000 dollars from 13 features (regression)",
            "D. Harrison and D. L. Rubinfeld, J. Environ. Econ. Manag. 5 (1978) 81",
            train=404,
            test=102,
            shape=(13,),
            classes=0,
            model="housing-dense",
            options={"standardize": True},
        ),
        Entry(
            "california_housing",
            "house prices in 100,000 dollars from 8 features (regression)",
            "R. K. Pace and R. Barry, Stat. Probab. Lett. 33 (1997) 291",
            train=16_512,
            test=4_128,
            shape=(8,),
            classes=0,
            model="housing-dense",
            options={"standardize": True},
        ),
        Entry(
            "halves",
            "images in two halves, with the labels digit and odd: several inputs and outputs",
            "made of another data set",
            train=1437,
            test=360,
            shape=(14, 28, 1),
            classes=10,
            model="scinet-two-inputs",
            options={"of": "digits"},
            built_in=True,
        ),
        Entry(
            "climate",
            "maps of 16 fields of a made-up atmosphere, with cyclones and rivers; needs no file",
            "computed by hpcnn, after T. Kurth et al., Exascale Deep Learning for Climate Analytics, SC18",
            train=1024,
            test=128,
            shape=(96, 144, 16),
            classes=3,
            model="unet",
            options=climate.OPTIONS,
            built_in=True,
            computed=True,
        ),
        Entry(
            "beach",
            "seven days, to the beach or not; needs no file",
            "the table of SciNet's lecture of 2017",
            train=7,
            test=7,
            shape=(3,),
            classes=2,
            model="scinet-beach",
            built_in=True,
        ),
    )
}


def known() -> tuple[str, ...]:
    """Return the names of the data sets hpcnn knows."""
    return tuple(_ENTRIES)


def describe(name: str) -> Entry:
    """Return the entry of data set ``name``. Raises UsageError, with a suggestion, for an unknown name."""
    if name not in _ENTRIES:
        raise unknown_value("--data", name, known(), see="hpcnn data list")
    return _ENTRIES[name]


def is_computed(name: str) -> bool:
    """Return whether the samples of a data set are computed: by ``--cache none`` anew in every epoch."""
    return synthetic.is_synthetic(name) or (name in _ENTRIES and _ENTRIES[name].computed)


def default_model(name: str) -> str:
    """Return the default network for a data set; scinet-cnn1 for a user's own."""
    return _ENTRIES[name].model if name in _ENTRIES else DEFAULT_MODEL


def options_of(name: str, given: Mapping[str, Json]) -> dict[str, Json]:
    """Return the options of a known data set, its defaults replaced by ``given``. Raises UsageError for others."""
    valid = describe(name).options
    for key in given:
        if key not in valid and not valid:
            raise bad_value("--data-arg", key, f"no value: data set {name!r} has no options")
        if key not in valid:
            raise unknown_value(f"--data-arg of data set {name!r}", key, valid)
    return {**valid, **given}


def check_arguments(name: str, given: Mapping[str, Json]) -> None:
    """Raise UsageError for an option that a known data set does not have. A user's own data passes."""
    if name in _ENTRIES:
        options = options_of(name, given)
        if name == "climate":
            climate.size_of(options)
    elif synthetic.is_synthetic(name):
        synthetic.check_name(name, given)
    elif forms.form_of(name):
        forms.check_options(dict(given))


def data_folder() -> Path:
    """Return the folder of staged files: ``HPCNN_DATA``, or ``hpcnn/data`` in the user's data folder."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return expanded(chosen).absolute()

    import platformdirs

    return platformdirs.user_data_path("hpcnn", appauthor=False) / "data"


def staged_file(name: str, folder: Path | None = None) -> Path:
    """Return the path of the staged file of ``name`` in ``folder`` (default: ``data_folder()``)."""
    return (data_folder() if folder is None else folder.absolute()) / f"{name}.npz"


def file_of(name: str) -> Path | None:
    """Return the path of the file of data set ``name``; None for a built-in set or a function."""
    if name.endswith(".npz"):
        return expanded(name).absolute()
    if name not in known() or describe(name).built_in:
        return None
    return staged_file(name)


def originals_of(name: str, arguments: Mapping[str, Json] | None = None) -> list[tuple[Path, int]]:
    """Return the files and folders that are read for a data set, with depths as of ``Location.originals``.

    None are known of a user's function. Raises UsageError for what is not there.
    """
    if name == "halves":
        name = str((arguments or {}).get("of", name))
    if forms.form_of(name):
        return forms.location_of(name).originals()
    file = file_of(name)
    return [(file, 0)] if file else []


def has_files(name: str, arguments: Mapping[str, Json] | None = None) -> bool:
    """Return whether a data set is read from files, without looking for them."""
    if name == "halves":
        name = str((arguments or {}).get("of", name))
    return bool(forms.form_of(name) or file_of(name))


def check_name(name: str) -> None:
    """Raise UsageError for a ``name`` that is neither known, nor files of a form, nor ``package.module:function``."""
    if synthetic.is_synthetic(name):
        synthetic.shape_of(name)
    if forms.form_of(name):
        forms.location_of(name)
    if not name.endswith(".npz") and ":" not in name and name not in known():
        others = [*forms.FORMS.values(), synthetic.FORM, "FILE.npz", "package.module:function"]
        raise unknown_value("--data", name, known(), forms=others, see="hpcnn data list")


def check_staged(name: str, arguments: Mapping[str, Json] | None = None) -> None:
    """Raise UsageError, saying how to stage it, if the file of a known data set is missing.

    ``arguments``: its options, one of which may name the data set from which it is made.
    """
    if name == "halves":
        name = str((arguments or {}).get("of", name))
    if forms.form_of(name):
        forms.check_there(name)
    if name not in known() or describe(name).built_in:
        return
    file = staged_file(name)
    if not file.exists():
        raise UsageError(
            f"--data: {name!r} is not staged: there is no file {file}. Compute nodes have no internet: run "
            f"'hpcnn data stage {name}' on a login node, or set {FOLDER_VARIABLE} to the folder that holds {file.name}."
        )
