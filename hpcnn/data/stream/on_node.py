"""A part of a set that a node has on its own disk, read there; what the node does not have is read where it was."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from hpcnn.data.stream.source import Indices, Slice, Source, Wrapped
from hpcnn.util.types import Array

Numbers = npt.NDArray[np.int64]


class Part(Protocol):
    """Which samples a node has, in the order of their numbers."""

    def __len__(self) -> int: ...

    def samples(self, places: Numbers) -> Numbers:
        """Return the numbers of the samples at these places."""

    def places(self, samples: Numbers) -> Numbers:
        """Return the places of these samples, -1 for those that the node does not have."""


class OfPart(Wrapped):
    """The samples of a part alone, numbered by their places: what is copied."""

    def __init__(self, inner: Source, part: Part) -> None:
        super().__init__(inner)
        self._part = part

    def __len__(self) -> int:
        return len(self._part)

    def read(self, indices: Indices) -> Slice:
        """Return features and labels of the samples at these places."""
        return self.inner.read(self._part.samples(np.asarray(indices, np.int64)))

    def labels(self, indices: Indices) -> Array:
        """Return the labels alone."""
        return self.inner.labels(self._part.samples(np.asarray(indices, np.int64)))


class OnNode(Wrapped):
    """All samples of a set, of which those of a part are read from a copy."""

    def __init__(self, inner: Source, copy: Source, part: Part) -> None:
        super().__init__(inner)
        self._copy, self._part = copy, part
        self.chunk, self.threads, self.worthwhile = copy.chunk, copy.threads, copy.worthwhile

    def read(self, indices: Indices) -> Slice:
        """Return features and labels of these samples: from the copy if it has all of them."""
        places = self._part.places(np.asarray(indices, np.int64))
        return self._copy.read(places) if (places >= 0).all() else self.inner.read(indices)

    def labels(self, indices: Indices) -> Array:
        """Return the labels alone."""
        return self.inner.labels(indices)
