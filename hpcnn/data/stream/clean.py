"""What ``DataSet`` does to arrays in memory, done to each slice: channels last, integer pixels as bytes, plain labels.

The rules follow from shape, type and kind of the labels alone, so that a slice is what it would be in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpcnn.data import labels
from hpcnn.data.dataset import PIXEL_MAX, channels_first, weight_shape
from hpcnn.data.instead import instead_of
from hpcnn.data.stream.source import BadSample, Indices, Slice, Source, Spec, Wrapped
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array


@dataclass(frozen=True)
class LabelForm:
    """What labels are, as ``DataSet`` has it. kind: None for what their shape and type say."""

    kind: str | None = None
    one_hot: bool = False
    ignore: int | None = None


class Clean(Wrapped):
    """Samples as the training takes them, each slice checked. limit: labels are below it (set once it is known)."""

    def __init__(self, inner: Source, name: str, form: LabelForm = LabelForm()) -> None:
        super().__init__(inner)
        self._name = name
        self.limit: int | None = None
        x, y = inner.x, inner.y
        if x.dtype.kind not in "uif" or not x.shape:
            raise self._error("features", x, "integer pixels or float features, shape (N, ...)")
        self.moved = channels_first((1, *x.shape))
        shape = (*x.shape[1:], x.shape[0]) if self.moved else x.shape
        self._as_pixels = x.dtype.kind in "ui" and len(x.shape) in (2, 3)
        if self._as_pixels and len(shape) == 2:
            shape = (*shape, 1)
        self.x = Spec(shape, np.dtype(np.uint8) if self._as_pixels else x.dtype.newbyteorder("="))
        self._form = form
        self._axes = len(self.x.shape) + 1
        if y.dtype.kind not in "uifb":
            raise self._error("labels", y, "integers, or floats")
        example = self._shaped(np.zeros((1, *y.shape), y.dtype))
        self.y = Spec(example.shape[1:], example.dtype)
        if inner.w is not None:
            self.w = self._weights_spec(inner.w, example.shape)

    def read(self, indices: Indices) -> Slice:
        """Return features and labels of these samples. Raises BadSample for numbers that nothing can be learnt from."""
        x, y, *weights = self.inner.read(indices)
        return self._features(x, indices), self._labels(y, indices), *(self._weights(w, indices) for w in weights)

    def labels(self, indices: Indices) -> Array:
        """Return the labels alone."""
        return self._labels(self.inner.labels(indices), indices)

    def _features(self, x: Array, indices: Indices) -> Array:
        if self.moved:
            x = np.moveaxis(x, 1, -1)
        if x.dtype.kind == "f":
            self._all(np.isfinite, x, indices, "a feature is NaN or infinity")
            return x.astype(self.x.dtype, copy=False)
        if self._as_pixels and x.dtype != np.uint8:
            self._all(lambda x: (x >= 0) & (x <= PIXEL_MAX), x, indices, f"a pixel is outside 0 to {PIXEL_MAX}")
        return x.astype(self.x.dtype, copy=False).reshape(len(x), *self.x.shape)

    def _shaped(self, y: Array) -> Array:
        """Return labels in the shape and type in which ``DataSet`` would have them."""
        kind = self._form.kind
        y = y.astype(y.dtype.newbyteorder("="), copy=False)
        if kind == labels.MAP:
            return labels.as_map(y, self._axes, one_hot=self._form.one_hot)
        if kind in (labels.NUMBERS, labels.IMAGES) and channels_first(y.shape):
            y = np.moveaxis(y, 1, -1)
        if kind == labels.IMAGES:
            return y[..., np.newaxis] if y.ndim == 3 else y
        if kind == labels.SEVERAL and y.ndim > 2:
            return y.astype(np.int8, copy=False)
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        return y.astype(np.float32 if y.dtype.kind == "f" else np.int64, copy=False)

    def _labels(self, y: Array, indices: Indices) -> Array:
        if y.dtype.kind == "f":
            self._all(np.isfinite, y, indices, "the label is NaN or infinity")
        y = self._shaped(y)
        if y.dtype.kind != "f" and self._form.kind != labels.IMAGES:
            limit, ignore = self.limit or np.iinfo(np.int64).max, self._form.ignore
            good: Callable[[Array], Array] = lambda y: (y >= 0) & (y < limit)  # noqa: E731
            if ignore is not None:
                good = lambda y: ((y >= 0) & (y < limit)) | (y == ignore)  # noqa: E731
            right = good(y)
            if not right.all():
                bad = int(y[~right].flat[0])
                most = "" if self.limit is None else f" to {limit - 1}"
                hint = "" if y.ndim < 3 else f"; --ignore-label {bad} leaves such pixels out"
                hint += f", --data-arg classes={bad + 1} makes it a class" if hint and bad > 0 else ""
                what = f"a label is {bad}, outside 0{most}" if most else f"a label is {bad}, below 0"
                self._all(good, y, indices, f"{what}{hint}")
        return y

    def _weights_spec(self, given: Spec, labels_shape: tuple[int, ...]) -> Spec:
        places = weight_shape(self._form.kind or "", labels_shape)
        shape = given.shape
        if places and shape == (*places[1:], 1):
            shape = shape[:-1]
        if given.dtype.kind not in "uifb" or shape not in ((), places[1:] if places else ()):
            of_pixels = f", or for each pixel, shape (N, {', '.join(map(str, places[1:]))})" if places else ""
            raise self._error("weights", given, f"one number for each sample, shape (N,){of_pixels}")
        return Spec(shape, np.dtype(np.float32))

    def _weights(self, weights: Array, indices: Indices) -> Array:
        assert self.w is not None
        self._all(lambda w: np.isfinite(w) & (w >= 0), weights, indices, "a weight is no finite number of at least 0")
        return weights.astype(np.float32, copy=False).reshape(len(weights), *self.w.shape)

    def _all(self, good: Callable[[Array], Array], values: Array, indices: Indices, reason: str) -> None:
        right = good(values)
        if not right.all():
            first = int(np.nonzero(~right.reshape(len(values), -1).all(axis=1))[0][0])
            index = int(indices[first])
            raise BadSample(index, self.where(index), reason)

    def _error(self, kind: str, spec: Spec, expected: str) -> UsageError:
        shape = ", ".join(["N", *map(str, spec.shape)])
        hint = instead_of(spec.dtype, "y" if kind == "labels" else "x")
        return UsageError(
            f"data set {self._name!r}: the {kind} are {spec.dtype} of shape ({shape}); expected {expected}{hint}."
        )
