"""Read texts as sequences of numbers: IMDB's reviews and Reuters' newswires, each word the rank of its frequency.

Reads a file of ``hpcnn data stage``, or Keras's own archive (``imdb.npz`` or ``reuters.npz``), processed as
``keras.datasets`` does: the same order, the same parts, 0 for padding, 1 for the beginning of a text, 2 for an omitted
word, the words from 4 on.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from hpcnn.data.dataset import DataSet
from hpcnn.data.sources import part_notes, staged_path
from hpcnn.data.structure import KEYS
from hpcnn.util.errors import UsageError, bad_value, unknown_value
from hpcnn.util.types import Array, Json
from hpcnn.zoo.catalogue import describe

FORMS = ("sequence", "bag")

# keras.datasets: the numbers below those of words, the seed of the order, and the share of the test set.
_START, _LEFT_OUT, _FIRST_WORD = 1, 2, 3
_SEED, _TEST_SHARE = 113, 0.2

# The only names that a pickled array of lists needs: a pickle may call any function that it names.
_ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype")} | {
    (f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")
}


def read_texts(name: str, *, words: int, length: int, form: str) -> DataSet:
    """Read ``imdb`` or ``reuters``.

    words: numbers from this one on become 2, "left out". form: ``sequence`` gives the last ``length`` numbers of every
    text, (N, length) int32, shorter ones padded with 0 in front, as Keras's ``pad_sequences`` does; ``bag`` gives for
    every number below ``words`` whether it occurs in the text, (N, words) of 0 and 1.

    Raises UsageError for any other file, and for invalid options.
    """
    _check(words, length, form)
    file = staged_path(name)
    try:
        train_texts, y_train, test_texts, y_test = _read(file)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise UsageError(f"--data: {file} cannot be read as Keras's {name}.npz: {error}") from error
    entry = describe(name)
    if form == "bag":
        x_train, x_test = _bag(train_texts, words), _bag(test_texts, words)
        note = f"for each of the first {words} numbers of words, whether the text has it"
    else:
        x_train, x_test = _padded(train_texts, words, length), _padded(test_texts, words, length)
        note = f"the last {length} words of each text, padded in front; numbers of words below {words}"
    return DataSet(
        name,
        x_train,
        y_train,
        x_test,
        y_test,
        classes=entry.classes,
        description=entry.description,
        source=entry.source,
        notes=(*part_notes(entry, len(x_train), len(x_test)), note),
        tokens=form == "sequence",
    )


def concatenated(sequences: Iterable[Sequence[int]]) -> tuple[Array, Array]:
    """Concatenate texts of different lengths: return all numbers in one array, int32, and the lengths."""
    lists = [np.asarray(sequence, np.int32) for sequence in sequences]
    return np.concatenate(lists), np.array([len(part) for part in lists], np.int64)


def _check(words: Json, length: Json, form: Json) -> None:
    if not isinstance(words, int) or words <= _FIRST_WORD:
        raise bad_value("--data-arg words", words, f"a whole number of at least {_FIRST_WORD + 1}")
    if not isinstance(length, int) or length < 1:
        raise bad_value("--data-arg length", length, "a whole number of at least 1")
    if form not in FORMS:
        raise unknown_value("--data-arg form", form, FORMS)


def _read(file: Path) -> tuple[Sequence[Array], Array, Sequence[Array], Array]:
    """Return the texts and labels of both parts as ``keras.datasets`` gives them with every word."""
    with zipfile.ZipFile(file) as archive:
        arrays = {name.removesuffix(".npy"): _array(archive, name) for name in archive.namelist()}
    if "x_train_lengths" in arrays:
        parts = {key: np.split(arrays[key], np.cumsum(arrays[f"{key}_lengths"])[:-1]) for key in ("x_train", "x_test")}
        return parts["x_train"], arrays["y_train"], parts["x_test"], arrays["y_test"]
    if "x" in arrays:
        x, y = _shuffled(_with_start(arrays["x"]), arrays["y"])
        count = int(len(x) * (1 - _TEST_SHARE))
        return x[:count], y[:count], x[count:], y[count:]
    x_train, y_train, x_test, y_test = (arrays[key] for key in KEYS)
    random = np.random.RandomState(_SEED)  # one generator for both parts, as in keras.datasets.imdb
    return *_shuffled(_with_start(x_train), y_train, random), *_shuffled(_with_start(x_test), y_test, random)


def _array(archive: zipfile.ZipFile, name: str) -> Array:
    """Read one array of an archive; lists in it go through an unpickler that allows NumPy's arrays only."""
    with archive.open(name) as stream:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
        _, _, kind = header(stream)
        if kind.hasobject:
            return np.asarray(_Unpickler(stream).load())
    with archive.open(name) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        """Return a class or function that rebuilds arrays. Raises UnpicklingError for any other name."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no array of lists")
        return super().find_class(module, name)


def _with_start(texts: Iterable[Sequence[int]]) -> list[Array]:
    """Convert the numbers of Keras's archive, words from 1 on: start each text with 1, and move words up to 4."""
    return [np.concatenate([[_START], np.asarray(text, np.int32) + _FIRST_WORD]) for text in texts]


def _shuffled(x: list[Array], y: Array, random: np.random.RandomState | None = None) -> tuple[list[Array], Array]:
    order = np.arange(len(x))
    (random or np.random.RandomState(_SEED)).shuffle(order)
    return [x[number] for number in order], np.asarray(y)[order]


def _padded(texts: Sequence[Array], words: int, length: int) -> Array:
    """Return the last ``length`` numbers of each text, shorter texts padded with 0 in front."""
    padded = np.zeros((len(texts), length), np.int32)
    for row, text in zip(padded, texts, strict=True):
        last = text[-length:]
        row[length - len(last) :] = np.where(last < words, last, _LEFT_OUT)
    return padded


def _bag(texts: Sequence[Array], words: int) -> Array:
    """Return the bags of words of texts as bytes, 0 and 1: floats would take four times the memory."""
    bag = np.zeros((len(texts), words), np.int8)
    for row, text in zip(bag, texts, strict=True):
        row[np.where(text < words, text, _LEFT_OUT)] = 1
    return bag
