"""Go on without bad samples, up to a number that the user allows (``--skip-bad``)."""

from __future__ import annotations

import threading

import numpy as np

from hpcnn.data.stream.source import BadSample, Indices, Slice, Source, Wrapped
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array


class Tolerant(Wrapped):
    """Samples of which a bad one is replaced by the next good one: the same on any number of ranks.

    allowed: how many different samples may be bad. bad: their numbers, and where each comes from and why it is bad.
    """

    def __init__(self, inner: Source, allowed: int) -> None:
        super().__init__(inner)
        self._allowed = allowed
        self.bad: dict[int, str] = {}
        self._lock = threading.Lock()

    def read(self, indices: Indices) -> Slice:
        """Return features and labels of these samples, with substitutes for bad ones.

        Raises BadSample where none is allowed, and UsageError where more are bad than are allowed.
        """
        try:
            return self.inner.read(indices)
        except BadSample as error:
            if not self._allowed:
                raise UsageError(f"{error} (--skip-bad N goes on without up to N such samples)") from error
        read = [self._one(int(index)) for index in indices]
        return tuple(np.concatenate(parts) for parts in zip(*read, strict=True))

    def labels(self, indices: Indices) -> Array:
        """Return the labels alone, with those of the substitutes for bad samples."""
        try:
            return self.inner.labels(indices)
        except BadSample:
            return self.read(indices)[1]

    def _one(self, index: int) -> Slice:
        for step in range(min(self._allowed + 1, len(self))):
            number = (index + step) % len(self)
            try:
                return self.inner.read(np.array([number]))
            except BadSample as error:
                self._note(number, error)
        raise UsageError(f"--data: no good sample from number {index} on, after {self._allowed + 1} bad ones")

    def _note(self, number: int, error: BadSample) -> None:
        with self._lock:
            self.bad[number] = f"{error.where}: {error.reason}"
            if len(self.bad) > self._allowed:
                raise UsageError(f"{error}; with it more samples are bad than --skip-bad {self._allowed} allows")
