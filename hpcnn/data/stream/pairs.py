"""A source of arrays on disk: features, labels and weights, each in one file or several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpcnn.data.stream.rows import JoinedRows, Rows
from hpcnn.data.stream.source import BadSample, Indices, Slice, Source, Spec
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array


class Pairs(Source):
    """Rows of features and rows of labels. files: name and features and labels of each file.

    weights: rows of weights of each file, or nothing. kind: of the labels, where it is known.
    """

    cheap_labels = True

    def __init__(
        self, files: Sequence[tuple[str, Rows, Rows]], weights: Sequence[Rows] = (), kind: str | None = None
    ) -> None:
        self.kind = kind
        self._names = [name for name, _, _ in files]
        for name, x, y in files:
            if not x.shape or not y.shape or x.shape[0] != y.shape[0]:
                raise UsageError(f"--data: {name} has features of shape {x.shape} and labels of shape {y.shape}")
            for kind, rows, first in (("features", x, files[0][1]), ("labels", y, files[0][2])):
                if rows.shape[1:] != first.shape[1:] or rows.dtype != first.dtype:
                    raise UsageError(
                        f"--data: {name} has {kind} of {rows.dtype} {rows.shape[1:]}; {self._names[0]} has "
                        f"{first.dtype} {first.shape[1:]}"
                    )
        self._x, self._y = JoinedRows([x for _, x, _ in files]), JoinedRows([y for _, _, y in files])
        self.x, self.y = (Spec(rows.shape[1:], rows.dtype) for rows in (self._x, self._y))
        self.chunk = self._x.chunk
        self._w = JoinedRows(weights) if weights else None
        if self._w is not None:
            if self._w.shape[0] != self._x.shape[0] or len({(rows.shape[1:], rows.dtype) for rows in weights}) > 1:
                found = ", ".join(f"{rows.dtype} {rows.shape}" for rows in weights)
                raise UsageError(
                    f"--data: {self._names[0]} has weights of {found}; expected one type, and a weight for each of "
                    f"{self._x.shape[0]} samples"
                )
            self.w = Spec(self._w.shape[1:], self._w.dtype)
        # what is mapped costs no thread's time but a copy's; what is in chunks is unpacked under a lock
        self.threads = 2

    def __len__(self) -> int:
        return self._x.shape[0]

    def read(self, indices: Indices) -> Slice:
        """Return features and labels of these samples, and their weights if they have any."""
        try:
            return tuple(rows.take(indices) for rows in (self._x, self._y, self._w) if rows is not None)
        except (OSError, ValueError, RuntimeError, KeyError) as error:  # h5py, Zarr: a chunk that is damaged
            raise BadSample(int(indices[0]), self.where(int(indices[0])), f"cannot be read: {error}") from error

    def labels(self, indices: Indices) -> Array:
        """Return the labels alone."""
        return self._y.take(indices)

    def where(self, index: int) -> str:
        """Return the file of a sample, and its number there."""
        file = int(np.searchsorted(self._x.starts, index, side="right")) - 1
        return f"{self._names[file]}, number {index - int(self._x.starts[file])}"


def name_of(path: Path, array: str = "") -> str:
    """Return how errors call an array of a file."""
    return f"{path}#{array}" if array else str(path)
