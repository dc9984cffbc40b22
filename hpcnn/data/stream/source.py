"""The protocol of data that is read a slice at a time: ``len(source)`` and ``source.read(indices) -> (x, y)``.

A source whose samples or pixels have weights in the loss gives (x, y, weights).

Must not import any reader.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array

Slice = tuple[Array, ...]
Indices = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Spec:
    """Shape and type of one sample's features, or of its label."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """Return the size of one sample."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


class BadSample(UsageError):
    """A sample that cannot be used: a picture that is cut off, a missing file, a number that is not finite."""

    def __init__(self, index: int, where: str, reason: str) -> None:
        super().__init__(f"--data: sample {index} ({where}): {reason}")
        self.index, self.where, self.reason = index, where, reason


class Source(ABC):
    """Samples by number, of which any can be read at any time, by several threads at once.

    x, y: shape and type of one sample. w: of its weights in the loss, None where it has none. classes: the number of
    classes where the files tell it. chunk: samples that are read together whether they are wanted or not, as in
    compressed files; 1 where each is read by itself. cheap_labels: labels can be read without features. threads: how
    many may read at once to a purpose; 0 for one a core. worthwhile: samples that one call should read where the next
    ones are known, because a call is dear whatever it reads. sequential: an earlier sample costs all before it.
    kind: of the labels (``labels.KINDS``), where more than their type and values says it. notes: what people are told
    of the files.
    """

    x: Spec
    y: Spec
    w: Spec | None = None
    classes: int | None = None
    chunk: int = 1
    cheap_labels: bool = False
    threads: int = 0
    worthwhile: int = 1
    sequential: bool = False
    kind: str | None = None
    notes: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, indices: Indices) -> Slice:
        """Return features and labels of these samples, in this order, and their weights if they have any.

        Raises BadSample for one that cannot be read.
        """

    def labels(self, indices: Indices) -> Array:
        """Return the labels alone."""
        return self.read(indices)[1]

    def rewind(self) -> None:  # noqa: B027
        """Hear that an epoch begins, or an evaluation, on all ranks."""

    def where(self, index: int) -> str:
        """Return where a sample comes from, for errors: its file, and its number there."""
        return f"number {index}"

    def remarks(self, indices: Indices) -> Counter[str]:
        """Return what people are to be told of these samples, and of how many each."""
        return Counter()


class Wrapped(Source):
    """A source that changes what another one reads: the base of those that choose, clean or forgive."""

    def __init__(self, inner: Source) -> None:
        self.inner = inner
        self.x, self.y, self.w, self.classes, self.chunk = inner.x, inner.y, inner.w, inner.classes, inner.chunk
        self.cheap_labels, self.threads, self.worthwhile = inner.cheap_labels, inner.threads, inner.worthwhile
        self.sequential, self.kind = inner.sequential, inner.kind

    def __len__(self) -> int:
        return len(self.inner)

    def read(self, indices: Indices) -> Slice:
        """Return features and labels as the inner source has them."""
        return self.inner.read(indices)

    def labels(self, indices: Indices) -> Array:
        """Return the labels alone."""
        return self.inner.labels(indices)

    def rewind(self) -> None:
        """Tell the inner source that an epoch begins."""
        self.inner.rewind()

    def where(self, index: int) -> str:
        """Return where a sample comes from."""
        return self.inner.where(index)

    def remarks(self, indices: Indices) -> Counter[str]:
        """Return what people are to be told of these samples."""
        return self.inner.remarks(indices)
