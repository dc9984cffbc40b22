"""One data set in memory, checked when it is made: what every reader gives and all training takes.

Knows nothing of files, of names or of how the arrays came to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcnn.data.structure import is_nest, leaves, map_nest, named
from hpcnn.util.errors import UsageError

Array = npt.NDArray[Any]

# Grey, or red, green and blue.
_CHANNELS = (1, 3)

# x_train, y_train, x_test, y_test
Arrays = tuple[Array, Array, Array, Array]

# The largest pixel of an 8-bit image; dividing by it brings pixels to 0..1.
PIXEL_MAX = 255


@dataclass(frozen=True, eq=False)
class DataSet:
    """Training and test samples, N of each kind independently, for classification or regression.

    ``x_*``: (N, H, W, C) uint8 pixels 0..255 for images; a user's own features may be floats of any shape (N,
    ...) or integers (N, F). Integer images without a channel axis (N, H, W) get one, and wider integer types
    become uint8. Channels that come first, (N, 1 or 3, H, W), are moved to the end. ``y_*``: (N,) int64 class numbers
    0..classes-1; (N, 1), as Keras gives CIFAR, is flattened. Floats (N,) or (N, T) are targets of a regression, and
    become float32.
    For a network with several inputs or outputs, ``x_*`` or ``y_*`` is a dictionary or a tuple of such arrays.
    ``classes`` of 0 stands for "as many as the labels name"; it becomes 0 for a regression, and a dictionary or
    tuple for several labels.
    ``tokens``: the features are integers that number words; they are never scaled and stay integers, as an
    embedding layer wants them. ``notes`` say what was done to the data, for the record of a run.

    Raises UsageError naming the array, its shape and type, and what is expected.
    """

    name: str
    x_train: Any
    y_train: Any
    x_test: Any
    y_test: Any
    classes: Any = 0
    description: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    tokens: bool = False

    def __post_init__(self) -> None:
        moved = any(_has_channels_first(self._array(key, x).shape) for key, x in named(self.x_train, "x_train"))
        clean = {key: self._clean(key, getattr(self, key)) for key in ("x_train", "y_train", "x_test", "y_test")}
        clean["notes"] = (*self.notes, "channels moved from first to last") if moved else self.notes
        for key, value in clean.items():
            object.__setattr__(self, key, value)
        self._check_counts()
        classes = self.classes or map_nest(lambda _: 0, self.y_train)
        object.__setattr__(self, "classes", map_nest(_classes, self.y_train, self.y_test, classes))
        for part in ("y_train", "y_test"):
            for (key, y), count in zip(named(clean[part], part), leaves(self.classes), strict=True):
                if count and (y.min() < 0 or y.max() >= count):
                    found = f"found {int(y.min())} to {int(y.max())}"
                    raise self._error(key, y, f"labels from 0 to {count - 1}, {found}")

    @property
    def samples(self) -> int:
        """Return the number of training samples."""
        return len(leaves(self.x_train)[0])

    @property
    def test_samples(self) -> int:
        """Return the number of test samples."""
        return len(leaves(self.x_test)[0])

    @property
    def several(self) -> bool:
        """Say whether there are several arrays of features or of labels."""
        return is_nest(self.x_train) or is_nest(self.y_train)

    @property
    def regression(self) -> bool:
        """Say whether the labels are numbers to come near to, and not classes."""
        return not is_nest(self.y_train) and self.y_train.dtype.kind == "f"

    @property
    def outputs(self) -> Any:
        """Return how many numbers a network gives for a sample: one a class, or one a target of a regression."""
        return map_nest(lambda y, count: count or int(np.prod(y.shape[1:])), self.y_train, self.classes)

    @property
    def input_shape(self) -> Any:
        """Return the shape of one sample, (H, W, C) for images; a dictionary or tuple of shapes for several inputs."""
        return map_nest(lambda x: tuple(x.shape[1:]), self.x_train)

    @property
    def pixel_scale(self) -> float:
        """Return the divisor that brings pixels to 0..1: 255.0 for uint8; 1.0 leaves features as they are."""
        return float(PIXEL_MAX) if all(x.dtype == np.uint8 for x in leaves(self.x_train)) else 1.0

    def _clean(self, part: str, values: Any) -> Any:
        check = self._features if part.startswith("x") else self._labels
        if not is_nest(values):
            return check(part, values)
        keys = iter([key for key, _ in named(values, part)])
        return map_nest(lambda value: check(next(keys), value), values)

    def _check_counts(self) -> None:
        """Raise UsageError unless all arrays of a part have as many samples, and both parts are alike."""
        for part in ("train", "test"):
            (first, x), *others = [*named(getattr(self, f"x_{part}"), f"x_{part}")]
            for key, array in (*others, *named(getattr(self, f"y_{part}"), f"y_{part}")):
                if len(array) != len(x):
                    kind = "labels" if key.startswith("y") else "samples"
                    raise self._error(key, array, f"as many {kind} as {first} has samples, {len(x)}")
        for kind in "xy":
            train, test = getattr(self, f"{kind}_train"), getattr(self, f"{kind}_test")
            if _keys(train) != _keys(test):
                raise UsageError(
                    f"data set {self.name!r}: {kind}_test has {_keys(test)}; expected what {kind}_train has, "
                    f"{_keys(train)}."
                )
            for (key, a), (of, b) in zip(named(test, f"{kind}_test"), named(train, f"{kind}_train"), strict=True):
                if a.shape[1:] != b.shape[1:] or a.dtype != b.dtype:
                    raise self._error(key, a, f"samples like those of {of}, which is {_facts(b)}")

    def _features(self, key: str, values: Array) -> Array:
        x = self._array(key, values)
        if x.dtype.kind not in "uif" or (self.tokens and x.dtype.kind == "f"):
            raise self._error(key, x, "whole numbers of words" if self.tokens else "integer pixels or float features")
        if _has_channels_first(x.shape) and not self.tokens:
            x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        if x.ndim < 2 or x.size == 0:
            raise self._error(key, x, "at least one sample of at least one feature, shape (N, ...)")
        if x.dtype.kind == "f":
            if not np.isfinite(x).all():
                raise self._error(key, x, "finite numbers, found NaN or infinity")
            return x
        if self.tokens:
            return x.astype(np.int32)
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
        if y.dtype.kind == "f" and y.ndim in (1, 2) and y.size and not _one_hot(y):
            if not np.isfinite(y).all():
                raise self._error(key, y, "finite numbers, found NaN or infinity")
            return y.astype(np.float32)
        if y.dtype.kind not in "ui" or y.ndim != 1 or y.size == 0:
            expected = "integer class numbers, shape (N,); one-hot labels y become y.argmax(axis=1)"
            raise self._error(key, y, f"{expected}; or floats, shape (N,) or (N, T), for a regression")
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


def _one_hot(y: Array) -> bool:
    """Say whether rows of floats are one-hot labels, which a regression would take for targets."""
    return y.ndim == 2 and bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())


def _classes(y_train: Array, y_test: Array, given: int) -> int:
    if y_train.dtype.kind == "f":
        return 0
    return given or int(max(y_train.max(), y_test.max())) + 1


def _keys(nest: Any) -> str:
    if isinstance(nest, dict):
        return "the arrays " + ", ".join(map(repr, nest))
    return f"{len(nest)} arrays" if isinstance(nest, tuple) else "one array"


def _facts(array: Array) -> str:
    return f"{array.dtype} of shape {array.shape}"
