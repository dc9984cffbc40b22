"""What ``DataSet`` does to arrays in memory, done to each slice: channels last, integer pixels as bytes, plain labels.

The rules follow from shape and type alone, so that a slice is what it would be in memory.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hpcnn.data.dataset import PIXEL_MAX, channels_first
from hpcnn.data.stream.source import BadSample, Indices, Source, Spec, Wrapped
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array


class Clean(Wrapped):
    """Samples as the training takes them, each slice checked. limit: labels are below it (set once it is known)."""

    def __init__(self, inner: Source, name: str) -> None:
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
        self.x = Spec(shape, np.dtype(np.uint8) if self._as_pixels else x.dtype)
        flat = y.shape[1:] if y.shape == (1,) else y.shape
        if y.dtype.kind not in "uifb" or len(flat) > 1:
            raise self._error("labels", y, "class numbers, integers of 0 and 1 (N, T), or floats (N,) or (N, T)")
        self.y = Spec(flat, np.dtype(np.float32 if y.dtype.kind == "f" else np.int64))

    def read(self, indices: Indices) -> tuple[Array, Array]:
        """Return features and labels of these samples. Raises BadSample for numbers that nothing can be learnt from."""
        x, y = self.inner.read(indices)
        return self._features(x, indices), self._labels(y, indices)

    def labels(self, indices: Indices) -> Array:
        """Return the labels alone."""
        return self._labels(self.inner.labels(indices), indices)

    def _features(self, x: Array, indices: Indices) -> Array:
        if self.moved:
            x = np.moveaxis(x, 1, -1)
        if x.dtype.kind == "f":
            self._all(np.isfinite, x, indices, "a feature is NaN or infinity")
            return x
        if self._as_pixels and x.dtype != np.uint8:
            self._all(lambda x: (x >= 0) & (x <= PIXEL_MAX), x, indices, f"a pixel is outside 0 to {PIXEL_MAX}")
        return x.astype(self.x.dtype, copy=False).reshape(len(x), *self.x.shape)

    def _labels(self, y: Array, indices: Indices) -> Array:
        y = y.reshape(len(y), *self.y.shape)
        if y.dtype.kind == "f":
            self._all(np.isfinite, y, indices, "the label is NaN or infinity")
        else:
            limit = self.limit or np.iinfo(np.int64).max
            self._all(lambda y: (y >= 0) & (y < limit), y, indices, f"a label is outside 0 to {limit - 1}")
        return y.astype(self.y.dtype, copy=False)

    def _all(self, good: Callable[[Array], Array], values: Array, indices: Indices, reason: str) -> None:
        right = good(values)
        if not right.all():
            first = int(np.nonzero(~right.reshape(len(values), -1).all(axis=1))[0][0])
            index = int(indices[first])
            raise BadSample(index, self.where(index), reason)

    def _error(self, kind: str, spec: Spec, expected: str) -> UsageError:
        shape = ", ".join(["N", *map(str, spec.shape)])
        return UsageError(
            f"data set {self._name!r}: the {kind} are {spec.dtype} of shape ({shape}); expected {expected}."
        )
