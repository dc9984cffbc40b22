"""What labels say of a sample: one class, several labels, numbers, a class for each of its pixels, another image.

Type and shape tell it, and the values where these leave it open. Must not import TensorFlow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcnn.util.types import Array

CLASSES = "classes"
"""One class a sample: integers (N,)."""
SEVERAL = "several labels"
"""Labels that are true or false, each by itself: integers of 0 and 1, (N, T), or (N, H, W, T) for each pixel."""
NUMBERS = "numbers"
"""Numbers to predict: floats of any shape."""
MAP = "map"
"""A class for each place of a sample: integers (N, H, W), or (N, D, H, W), or (N, T, 1) for places in a row."""
IMAGES = "images"
"""Images to predict, whose pixels are bytes: (N, H, W, C)."""

KINDS = (CLASSES, SEVERAL, NUMBERS, MAP, IMAGES)

# Integers that maps keep: a class a pixel takes a byte, where it came as one.
_KEPT = ("uint8", "int8", "uint16", "int16", "int32")
# What many programs write for pixels without a class: the largest number of one byte, the one below, and of two bytes.
_NO_CLASS = (254, 255, 65535)
FEW = min(_NO_CLASS)
"""Of up to so many classes, all are taken for classes."""
# Labels of maps that are counted at a time.
_AT_A_TIME = 2**24
# Samples that are looked at first, before all of a large array.
_FIRST = 8


def kind_of(train: Array, test: Array, features: int) -> str | None:
    """Return the kind of labels for features of so many axes (images have four); None for what is none of KINDS.

    Several maps in one array, (N, H, W, T), are one-hot maps where each pixel has a single 1 in both parts.
    """
    whole = train.dtype.kind in "uib"
    if train.ndim < 3 or not (whole or train.dtype.kind == "f"):
        return _of_rows(train)
    channels = has_channels(train, features)
    if channels and is_one_hot(train) and is_one_hot(test):
        return MAP
    if not whole:
        return NUMBERS
    if not channels or train.shape[-1] == 1:
        return MAP
    if is_binary(train) and is_binary(test):
        return SEVERAL
    return IMAGES if train.dtype == np.uint8 and test.dtype == np.uint8 else None


def kind_of_same(features: np.dtype[Any]) -> str:
    """Return the kind of labels that are the very array of the features: an autoencoder's."""
    return NUMBERS if features.kind == "f" else IMAGES


def _of_rows(y: Array) -> str | None:
    if y.dtype.kind == "f":
        return NUMBERS
    if y.dtype.kind not in "uib" or y.ndim not in (1, 2):
        return None
    return CLASSES if y.ndim == 1 or y.shape[1] == 1 else SEVERAL


def has_channels(y: Array, features: int) -> bool:
    """Return whether the last axis of labels is no place, because they have as many axes as the features."""
    return bool(y.ndim >= 4 and y.ndim >= features)


def is_one_hot(y: Array) -> bool:
    """Return whether the last axis has a single 1 everywhere, and else 0: the classes of pixels, one-hot."""
    if y.ndim < 2 or y.shape[-1] < 2:
        return False
    return all(bool(((part == 0) | (part == 1)).all() and (part.sum(-1) == 1).all()) for part in (y[:_FIRST], y))


def is_binary(y: Array) -> bool:
    """Return whether all values are 0 or 1."""
    return all(bool(((part == 0) | (part == 1)).all()) for part in (y[:_FIRST], y))


def as_map(y: Array, features: int, *, one_hot: bool) -> Array:
    """Return labels of pixels as integers without an axis of channels. one_hot: they come one-hot."""
    if one_hot:
        found: Array = y.argmax(axis=-1).astype(np.uint8 if y.shape[-1] <= 256 else np.int32)
        return found
    if has_channels(y, features) and y.shape[-1] == 1:
        y = y[..., 0]
    return y.astype(map_type(y.dtype), copy=False)


def map_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which a map is kept."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return dtype if dtype.name in _KEPT else np.dtype(np.int32)


def counted(y: Array, classes: int, ignore: int | None) -> Array:
    """Return how many labels of maps each class has, (classes,); ignored ones do not count."""
    flat = y.ravel()
    valid = flat if ignore is None else flat[flat != ignore]
    counts: Array = np.bincount(valid.astype(np.int64, copy=False), minlength=classes)
    return counts


def present(y: Array) -> set[int]:
    """Return which labels of at least 0 occur in maps."""
    found: set[int] = set()
    for part in np.array_split(y.ravel(), max(y.size // _AT_A_TIME, 1)):
        there = part[part >= 0] if part.dtype.kind == "i" else part
        found.update(np.flatnonzero(np.bincount(there.astype(np.int64, copy=False))).tolist())
    return found


def no_class(there: set[int], ignore: int | None) -> str | None:
    """Return what is to be said of maps, of which the largest label is probably no class; None where it may well be.

    It is one of ``_NO_CLASS``, and the labels just below it do not occur. there: the labels that occur.
    """
    found = sorted(there - {ignore})
    special = [label for label in found if label in _NO_CLASS]
    classes = [label for label in found if label not in _NO_CLASS]
    if not special or (classes and classes[-1] + 1 >= special[0]):
        return None
    largest = classes[-1] if classes else 0
    have = f"the labels of pixels are 0 to {largest}, and {' and '.join(map(str, special))}"
    if len(special) > 1 or ignore is not None:
        return f"{have}: one label can be ignored; write the same one for all pixels without a class"
    if largest == 0:
        return f"{have}: where {special[0]} is the class of what is shown, write 1 for it (y // {special[0]})"
    return f"{have}, which looks like pixels without a class: --ignore-label {special[0]} leaves them out"


def without_zero(smallest: int, largest: int) -> str:
    """Return what is told of labels of which none is 0."""
    return (
        f"no label is 0: they are {smallest} to {largest}, and a class 0 that never occurs is counted; subtract "
        f"{smallest} for classes from 0 on"
    )


def valid(y: Array, ignore: int | None) -> Array:
    """Return the labels that are not ignored."""
    return y if ignore is None else y[y != ignore]
