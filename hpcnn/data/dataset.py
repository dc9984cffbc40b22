"""One data set in memory, checked when it is made: what every reader gives and all training takes.

Knows nothing of files, of names or of how the arrays came to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcnn.errors import UsageError

Array = npt.NDArray[Any]

# Grey, or red, green and blue.
_CHANNELS = (1, 3)

# x_train, y_train, x_test, y_test
Arrays = tuple[Array, Array, Array, Array]

# The largest pixel of an 8-bit image; dividing by it brings pixels to 0..1.
PIXEL_MAX = 255


@dataclass(frozen=True, eq=False)
class DataSet:
    """Training and test samples for classification, N of each kind independently.

    ``x_*``: (N, H, W, C) uint8 pixels 0..255 for images; a user's own features may be floats of any shape (N,
    ...) or integers (N, F). Integer images without a channel axis (N, H, W) get one, and wider integer types
    become uint8. Channels that come first, (N, 1 or 3, H, W), are moved to the end. ``y_*``: (N,) int64 class numbers
    0..classes-1; (N, 1), as Keras gives CIFAR, is flattened. ``classes`` of 0 stands for "as many as the labels
    name". ``notes`` say what was done to the data, for the record of a run.

    Raises UsageError naming the array, its shape and type, and what is expected.
    """

    name: str
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    classes: int = 0
    description: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        moved = _has_channels_first(self._array("x_train", self.x_train).shape)
        x_train, y_train = self._checked("train", self.x_train, self.y_train)
        x_test, y_test = self._checked("test", self.x_test, self.y_test)
        if x_train.shape[1:] != x_test.shape[1:] or x_train.dtype != x_test.dtype:
            raise self._error("x_test", x_test, f"samples like those of x_train, which is {_facts(x_train)}")
        classes = self.classes or int(max(y_train.max(), y_test.max())) + 1
        for key, y in (("y_train", y_train), ("y_test", y_test)):
            if y.min() < 0 or y.max() >= classes:
                raise self._error(key, y, f"labels from 0 to {classes - 1}, found {int(y.min())} to {int(y.max())}")
        clean = {
            "x_train": x_train,
            "y_train": y_train,
            "x_test": x_test,
            "y_test": y_test,
            "classes": classes,
            "notes": (*self.notes, "channels moved from first to last") if moved else self.notes,
        }
        for key, value in clean.items():
            object.__setattr__(self, key, value)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return the shape of one sample, (H, W, C) for images."""
        return tuple(self.x_train.shape[1:])

    @property
    def pixel_scale(self) -> float:
        """Return the divisor that brings pixels to 0..1: 255.0 for uint8; 1.0 leaves features as they are."""
        return float(PIXEL_MAX) if self.x_train.dtype == np.uint8 else 1.0

    def _checked(self, part: str, x: Array, y: Array) -> tuple[Array, Array]:
        features, labels = self._features(f"x_{part}", x), self._labels(f"y_{part}", y)
        if len(features) != len(labels):
            expected = f"as many labels as x_{part} has samples, {len(features)}"
            raise self._error(f"y_{part}", labels, expected)
        return features, labels

    def _features(self, key: str, values: Array) -> Array:
        x = self._array(key, values)
        if x.dtype.kind not in "uif":
            raise self._error(key, x, "integer pixels or float features")
        if _has_channels_first(x.shape):
            x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        if x.ndim < 2 or x.size == 0:
            raise self._error(key, x, "at least one sample of at least one feature, shape (N, ...)")
        if x.dtype.kind == "f":
            if not np.isfinite(x).all():
                raise self._error(key, x, "finite numbers, found NaN or infinity")
            return x
        if x.ndim in (3, 4) and x.dtype != np.uint8:
            if x.min() < 0 or x.max() > PIXEL_MAX:
                found = f"found {int(x.min())} to {int(x.max())}"
                raise self._error(key, x, f"pixels from 0 to {PIXEL_MAX}, {found}; give other values as floats")
            x = x.astype(np.uint8)
        return x[..., np.newaxis] if x.ndim == 3 else x

    def _labels(self, key: str, values: Array) -> Array:
        y = self._array(key, values)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.dtype.kind not in "ui" or y.ndim != 1 or y.size == 0:
            raise self._error(key, y, "integer class numbers, shape (N,); one-hot labels y become y.argmax(axis=1)")
        return y.astype(np.int64)

    def _array(self, key: str, values: Array) -> Array:
        try:
            return np.asarray(values)
        except ValueError as error:
            raise UsageError(f"data set {self.name!r}: {key} is not an array: {error}") from error

    def _error(self, key: str, array: Array, expected: str) -> UsageError:
        return UsageError(f"data set {self.name!r}: {key} is {_facts(array)}; expected {expected}.")


def _has_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether images (N, 1 or 3, H, W) are meant: the last two axes are too long for channels."""
    return len(shape) == 4 and shape[1] in _CHANNELS and min(shape[2:]) > max(_CHANNELS)


def _facts(array: Array) -> str:
    return f"{array.dtype} of shape {array.shape}"
