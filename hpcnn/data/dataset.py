"""A data set in memory, checked when it is created: the result of every reader, and the input of every training.

Must not import the readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hpcnn.data import labels
from hpcnn.data.instead import instead_of, masked, several_in_a_list
from hpcnn.data.structure import Structure, is_structure, leaves, map_structure, named_leaves
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array as Array

# Grey, or red, green and blue.
_CHANNELS = (1, 3)

# x_train, y_train, x_test, y_test
Arrays = tuple[Array, Array, Array, Array]

# A larger label is a mistake: a network would have an output for each of so many classes.
_MOST_CLASSES = 1_000_000
_LABELS = (
    "integer class numbers, shape (N,); one-hot labels y become y.argmax(axis=1); or integers of 0 and 1, shape "
    "(N, T), for several labels a sample; or integers (N, H, W) with a class for each pixel; or floats of any shape "
    "for numbers to predict"
)

# The largest pixel of an 8-bit image; dividing by it brings pixels to 0..1.
PIXEL_MAX = 255


@dataclass(frozen=True, eq=False)
class DataSet:
    """Training and test samples with their labels; N may differ between the two.

    ``x_*``: (N, H, W, C) uint8 pixels 0..255 for images; a user's own features may be floats of any shape (N,
    ...) or integers (N, F). Integer images without a channel axis (N, H, W) get one, and wider integer types
    become uint8. Channels that come first, (N, 1 or 3, H, W), are moved to the end. ``y_*``: (N,) int64 class numbers
    0..classes-1; (N, 1), as Keras gives CIFAR, is flattened. Floats of any shape are numbers to predict, and become
    float32. Integers (N, T) of 0 and 1 are several labels a sample, each true or false by itself; one-hot labels, with
    a single 1 in every row, are refused. Integers (N, H, W) are maps: the class of each pixel. One-hot maps
    (N, H, W, classes) become such integers, too. Bytes (N, H, W, C), or the very array of the features, are images to
    predict. ``kind`` says which of these the labels are (``labels.KINDS``); None: what type, shape and values say.
    ``one_hot``: maps came one-hot, and a loss of the user's own gets them so. ``ignore_label``: what stands in maps for
    pixels that count for nothing.
    ``*_weights``: what the loss of each sample is multiplied by, (N,) numbers, or of each pixel, or None; they become
    float32.
    For a network with several inputs or outputs, ``x_*`` or ``y_*`` is a dictionary or a tuple of such arrays.
    ``classes`` of 0 is replaced by the number of classes in the labels; it becomes 0 for a regression and for several
    labels a sample, and a dictionary or tuple for labels of several arrays.
    ``tokens``: the features are indices of words, for an embedding layer; they stay integers and are never scaled.
    ``notes`` describe the changes made to the data; a training says those that are in ``told``, too, and records them.
    ``bad``: training samples that were replaced by others as they were read, by number, and why.

    Raises UsageError naming the array, its shape and type, and what is expected.
    """

    name: str
    x_train: Structure
    y_train: Structure
    x_test: Structure
    y_test: Structure
    classes: Structure = 0
    description: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    tokens: bool = False
    train_weights: Array | None = None
    test_weights: Array | None = None
    kind: Structure = None
    one_hot: bool = False
    ignore_label: int | None = None
    bad: Mapping[int, str] = field(default_factory=dict)
    doubt: str = field(default="", init=False)
    """Why the number of classes is probably a mistake; the label that is ignored may be given later."""

    def __post_init__(self) -> None:
        for x, y in ((self.x_train, self.y_train), (self.x_test, self.y_test)):
            if several_in_a_list(x, leaves(y)[0]):
                wanted = "several inputs are a tuple or a dictionary of arrays"
                raise UsageError(f"data set {self.name!r}: the features are a list of {len(x)} arrays; {wanted}")
        if self.kind is None:
            self._find_kind()
        self._check_ignored()
        moved = any(channels_first(self._array(key, x).shape) for key, x in named_leaves(self.x_train, "x_train"))
        clean = {key: self._clean(key, getattr(self, key)) for key in ("x_train", "y_train", "x_test", "y_test")}
        clean["notes"] = (*self.notes, "channels moved from first to last") if moved else self.notes
        for key, value in clean.items():
            object.__setattr__(self, key, value)
        self._check_counts()
        self._check_one_hot()
        for key in ("train_weights", "test_weights"):
            object.__setattr__(self, key, self._weights(key, getattr(self, key)))
        self._note_without_zero()
        classes = self.classes or map_structure(lambda _: 0, self.y_train)
        object.__setattr__(self, "classes", map_structure(self._classes, self.kind, self.y_train, self.y_test, classes))
        for part in ("y_train", "y_test"):
            for (key, y), count in zip(named_leaves(clean[part], part), leaves(self.classes), strict=True):
                there = labels.valid(y, self.ignore_label) if count else y
                if count and there.size and (there.min() < 0 or there.max() >= count):
                    found = f"found {int(there.min())} to {int(there.max())}"
                    raise self._error(key, y, f"labels from 0 to {count - 1}, {found}{self._hint(y)}")

    def without_doubt(self) -> DataSet:
        """Return the set. Raises UsageError where its largest label is probably none of a class."""
        if self.doubt:
            raise UsageError(self.doubt)
        return self

    @property
    def samples(self) -> int:
        """Return the number of training samples."""
        return len(leaves(self.x_train)[0])

    @property
    def test_samples(self) -> int:
        """Return the number of test samples."""
        return len(leaves(self.x_test)[0])

    @property
    def is_structured(self) -> bool:
        """Return whether the features or the labels are several arrays."""
        return is_structure(self.x_train) or is_structure(self.y_train)

    @property
    def regression(self) -> bool:
        """Return whether the labels are numbers to predict, and not classes."""
        return self.kind in (labels.NUMBERS, labels.IMAGES)

    @property
    def multi_label(self) -> bool:
        """Return whether each sample or pixel has several labels, each 0 or 1, and not one class."""
        return bool(self.kind == labels.SEVERAL)

    @property
    def is_map(self) -> bool:
        """Return whether each pixel of a sample has a class."""
        return bool(self.kind == labels.MAP)

    @property
    def what(self) -> str:
        """Return what there is to learn of a sample, for people."""
        if self.is_structured:
            return "several arrays"
        return {
            labels.NUMBERS: "a number to predict",
            labels.IMAGES: "images to predict",
            labels.SEVERAL: "several labels",
            labels.MAP: "a class for each pixel",
        }.get(self.kind, "one class a sample")

    @property
    def outputs(self) -> Structure:
        """Return the number of outputs of a network: one for each class, or for each number of a sample or a pixel."""
        return map_structure(lambda y, count: count or _outputs(y), self.y_train, self.classes)

    @property
    def input_shape(self) -> Structure:
        """Return the shape of one sample, (H, W, C) for images; a dictionary or tuple of shapes for several inputs."""
        return map_structure(lambda x: tuple(x.shape[1:]), self.x_train)

    @property
    def pixel_scale(self) -> float:
        """Return the divisor that brings pixels to 0..1: 255.0 for uint8; 1.0 leaves features as they are."""
        return float(PIXEL_MAX) if all(x.dtype == np.uint8 for x in leaves(self.x_train)) else 1.0

    def _find_kind(self) -> None:
        """Note what kind the labels are, and whether maps are one-hot."""
        if not is_structure(self.y_train) and self.y_train is self.x_train:
            object.__setattr__(self, "kind", labels.kind_of_same(np.asarray(self.x_train).dtype))
            return
        others = dict(named_leaves(self.y_test, "y_train"))
        found = iter([self._kind_of(key, y, others.get(key)) for key, y in named_leaves(self.y_train, "y_train")])
        object.__setattr__(self, "kind", map_structure(lambda _: next(found), self.y_train))

    def _kind_of(self, key: str, values: Array, test: Array | None) -> str:
        y = self._array(key, values)
        other = y if test is None else self._array(key, test)
        found = labels.kind_of(y, other, self._axes)
        if found is None:
            raise self._error(key, y, _LABELS)
        if found == labels.IMAGES and is_structure(self.y_train):
            raise self._error(key, y, "floats (y / 255): bytes are images for networks with one output")
        if found == labels.MAP and labels.has_channels(y, self._axes) and y.shape[-1] > 1:
            if is_structure(self.y_train):
                raise self._error(key, y, "integers (N, H, W): one-hot maps are for networks with one output")
            self._convert_one_hot(y, other)
        return found

    @property
    def _axes(self) -> int:
        """The axes of features: integer images without channels get an axis for them."""
        if is_structure(self.x_train):
            return 4
        x = self._array("x_train", self.x_train)
        return 4 if x.ndim == 3 and x.dtype.kind in "ui" and not self.tokens else int(x.ndim)

    def _convert_one_hot(self, train: Array, test: Array) -> None:
        for key, y in (("y_train", train), ("y_test", test)):
            object.__setattr__(self, key, labels.as_map(y, self._axes, one_hot=True))
        object.__setattr__(self, "classes", train.shape[-1])
        object.__setattr__(self, "one_hot", True)

    def _note_without_zero(self) -> None:
        """Tell of labels that begin at 1, or later: whoever counts from 1 gets one class too many."""
        if self.kind not in (labels.CLASSES, labels.MAP) or self.classes or self.is_structured:
            return
        there = [labels.valid(y, self.ignore_label) for y in (self.y_train, self.y_test)]
        if all(y.size for y in there) and (smallest := min(int(y.min()) for y in there)) > 0:
            self._tell(labels.without_zero(smallest, max(int(y.max()) for y in there)))

    def _tell(self, note: str) -> None:
        for key in ("notes", "told"):
            if note not in getattr(self, key):
                object.__setattr__(self, key, (*getattr(self, key), note))

    def _check_ignored(self) -> None:
        if self.ignore_label is not None and self.kind != labels.MAP:
            instead = "a weight of 0 leaves a sample out"
            if is_structure(self.y_train):
                instead = "let the loss of that output be 0 where a pixel does not count"
            raise UsageError(
                f"--ignore-label: {self.ignore_label} is not valid; expected no value with data set {self.name!r}, "
                f"which has {self.what}: {instead}"
            )

    def _clean(self, part: str, values: Structure) -> Structure:
        keys = iter([key for key, _ in named_leaves(values, part)])
        if part.startswith("x"):
            return map_structure(lambda value: self._features(next(keys), value), values)
        kinds = iter(leaves(self.kind) if is_structure(values) == is_structure(self.kind) else [labels.CLASSES])
        return map_structure(lambda value: self._labels(next(keys), value, next(kinds, labels.CLASSES)), values)

    def _check_counts(self) -> None:
        """Raise UsageError unless all arrays of a part have the same number of samples, and both parts match."""
        for part in ("train", "test"):
            (first, x), *others = [*named_leaves(getattr(self, f"x_{part}"), f"x_{part}")]
            for key, array in (*others, *named_leaves(getattr(self, f"y_{part}"), f"y_{part}")):
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
            for (key, a), (of, b) in zip(
                named_leaves(test, f"{kind}_test"), named_leaves(train, f"{kind}_train"), strict=True
            ):
                if a.shape[1:] != b.shape[1:] or a.dtype != b.dtype:
                    raise self._error(key, a, f"samples like those of {of}, which is {_facts(b)}")

    def _features(self, key: str, values: Array) -> Array:
        x = self._array(key, values)
        if x.dtype.kind not in "uif" or (self.tokens and x.dtype.kind == "f"):
            raise self._error(key, x, "whole numbers of words" if self.tokens else "integer pixels or float features")
        if channels_first(x.shape) and not self.tokens:
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

    def _labels(self, key: str, values: Array, kind: str) -> Array:
        y = self._array(key, values)
        if kind == labels.IMAGES:
            return self._features(key, y)
        if y.ndim > 2 and y.size:
            return self._of_pixels(key, y, kind)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.dtype.kind == "f" and y.ndim in (1, 2) and y.size and not _one_hot(y):
            if not np.isfinite(y).all():
                raise self._error(key, y, "finite numbers, found NaN or infinity")
            return y.astype(np.float32)
        several = y.ndim == 2 and y.dtype.kind in "uib" and bool(np.isin(y, (0, 1)).all())
        classes = y.ndim == 1 and y.dtype.kind in "ui"
        if not (classes or several) or y.size == 0:
            raise self._error(key, y, _LABELS)
        if int(y.max()) >= _MOST_CLASSES:
            raise self._error(key, y, f"labels below {_MOST_CLASSES:,}, found {int(y.max())}")
        return y.astype(np.int64)

    def _of_pixels(self, key: str, y: Array, kind: str) -> Array:
        if kind == labels.NUMBERS and y.dtype.kind == "f":
            if not np.isfinite(y).all():
                raise self._error(key, y, "finite numbers, found NaN or infinity")
            y = np.moveaxis(y, 1, -1) if channels_first(y.shape) else y
            return np.ascontiguousarray(y, np.float32)
        if y.dtype.kind not in "uib":
            raise self._error(key, y, _LABELS)
        if kind == labels.SEVERAL:
            return y.astype(np.int8, copy=False)
        return labels.as_map(y, self._axes, one_hot=False)

    def _hint(self, y: Array) -> str:
        """Return what to do about labels beyond the classes."""
        if y.ndim < 3 or self.ignore_label is not None:
            return ""
        if set(np.unique(y[y < 0]).tolist()) == {-1}:
            return "; --ignore-label -1 leaves pixels of the label -1 out"
        return "; --ignore-label N leaves pixels of the label N out"

    def _classes(self, kind: str, y_train: Array, y_test: Array, given: int) -> int:
        """Return the number of classes: as given, or as the labels have; 0 where there are no classes."""
        if kind not in (labels.CLASSES, labels.MAP):
            return 0
        if given or kind == labels.CLASSES:
            return given or int(max(y_train.max(), y_test.max())) + 1
        found = [labels.valid(y, self.ignore_label) for y in (y_train, y_test)]
        count = max(2, *(int(y.max(initial=0)) + 1 for y in found))
        if count > labels.FEW:
            there = set().union(*map(labels.present, found))
            if reason := labels.no_class(there, self.ignore_label):
                instead = f"a function that returns a DataSet with classes={count} has all of them as classes"
                object.__setattr__(self, "doubt", f"data set {self.name!r}: {reason}; {instead}")
        return count

    def _check_one_hot(self) -> None:
        """Raise UsageError for integer rows that are one-hot in both parts: classes, and not several labels."""
        pairs = zip(named_leaves(self.y_train, "y_train"), leaves(self.y_test), strict=True)
        for (key, train), test in pairs:
            if train.ndim == 2 and train.dtype.kind != "f" and _one_hot(train) and _one_hot(test):
                raise self._error(key, train, f"{_LABELS}. Here every row has a single 1")

    def _weights(self, key: str, values: Array | None) -> Array | None:
        if values is None:
            return None
        samples = self.samples if key == "train_weights" else self.test_samples
        weights = self._array(key, values)
        if is_structure(self.y_train):
            instead = "no weights with labels of several arrays: weigh in the losses of compile(), or copy samples"
            raise self._error(key, weights, instead)
        y = self.y_train if key == "train_weights" else self.y_test
        places = weight_shape(self.kind, y.shape)
        if places and weights.shape == (*places, 1):
            weights = weights[..., 0]
        if weights.dtype.kind not in "uifb" or weights.shape not in ((samples,), places):
            of_pixels = f", or for each pixel, shape {places}" if places else ""
            raise self._error(
                key, weights, f"one number for each of the {samples} samples, shape ({samples},){of_pixels}"
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise self._error(key, weights, "finite weights of at least 0")
        return weights.astype(np.float32)

    def _array(self, key: str, values: Array) -> Array:
        wanted = masked(values)
        if wanted:
            raise self._error(key, values, wanted)
        try:
            array = np.asarray(values)
            # TensorFlow takes the bytes of a number in this machine's order alone
            return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
        except ValueError as error:
            raise UsageError(f"data set {self.name!r}: {key} is not an array: {error}") from error

    def _error(self, key: str, array: Array, expected: str) -> UsageError:
        hint = instead_of(array.dtype, "y" if key.startswith("y") else "x")
        return UsageError(f"data set {self.name!r}: {key} is {_facts(array)}; expected {expected}{hint}.")


def weight_shape(kind: str, labels_shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of weights of pixels; None where only samples have weights."""
    if len(labels_shape) < 3:
        return None
    return labels_shape if kind == labels.MAP or len(labels_shape) == 3 else labels_shape[:-1]


def channels_first(shape: tuple[int, ...]) -> bool:
    """Return whether a shape is that of images (N, 1 or 3, H, W): the last two axes are too long for channels."""
    return len(shape) == 4 and shape[1] in _CHANNELS and min(shape[2:]) > max(_CHANNELS)


def _one_hot(y: Array) -> bool:
    """Return whether rows are one-hot labels: a single 1, and else 0."""
    return y.ndim == 2 and bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())


def _outputs(y: Array) -> int:
    """Return how many numbers are to be predicted: of a sample, or of each pixel of an image."""
    return int(np.prod(y.shape[1:])) if y.ndim < 3 else int(y.shape[-1]) if y.ndim > 3 else 1


def _keys(structure: Structure) -> str:
    if isinstance(structure, dict):
        return "the arrays " + ", ".join(map(repr, structure))
    return f"{len(structure)} arrays" if isinstance(structure, tuple) else "one array"


def _facts(array: Array) -> str:
    return f"{array.dtype} of shape {array.shape}"
