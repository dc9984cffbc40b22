"""Choose samples of a source by number: the first ones, those of a test set, all others. No table, at any size."""

from __future__ import annotations

from collections import Counter

import numpy as np

from hpcnn.data.stream.mixing import mixed_bits
from hpcnn.data.stream.source import BadSample, Indices, Slice, Source, Wrapped
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array


class First(Wrapped):
    """The first samples of a source."""

    def __init__(self, inner: Source, count: int) -> None:
        super().__init__(inner)
        self._count = count

    def __len__(self) -> int:
        return self._count


class _Renumbered(Wrapped):
    def _inner(self, indices: Indices) -> Indices:
        raise NotImplementedError

    def read(self, indices: Indices) -> Slice:
        """Return features and labels of these samples."""
        inner = self._inner(np.asarray(indices, np.int64))
        try:
            return self.inner.read(inner)
        except BadSample as error:
            own = int(np.asarray(indices)[np.nonzero(inner == error.index)[0][0]])
            raise BadSample(own, error.where, error.reason) from error

    def labels(self, indices: Indices) -> Array:
        """Return the labels alone."""
        return self.inner.labels(self._inner(np.asarray(indices, np.int64)))

    def where(self, index: int) -> str:
        """Return where a sample comes from."""
        return self.inner.where(int(self._inner(np.array([index], np.int64))[0]))

    def remarks(self, indices: Indices) -> Counter[str]:
        """Return what people are to be told of these samples."""
        return self.inner.remarks(self._inner(np.asarray(indices, np.int64)))


class Split(_Renumbered):
    """Training or test samples of a source: of each run of ``every`` samples, one by chance is a test sample.

    So both parts keep the order of the files, and a set that is sorted by class has every class in both. What is left
    after the last whole run is for training.
    """

    def __init__(self, inner: Source, every: int, seed: int, *, test: bool) -> None:
        super().__init__(inner)
        self._every, self._test = every, test
        self._runs = len(inner) // every
        if not self._runs:
            raise UsageError(f"--data-arg test_share: {len(inner)} samples are too few to split {1 / every:.3g} off")
        self._key = np.random.Philox(key=[seed, 0]).random_raw(1)[0]

    def __len__(self) -> int:
        return self._runs if self._test else len(self.inner) - self._runs

    def _inner(self, indices: Indices) -> Indices:
        if self._test:
            chosen: Indices = indices * self._every + self._chosen(indices)
            return chosen
        run, offset = np.divmod(indices, self._every - 1)
        whole = run < self._runs
        skipped = np.where(whole, offset >= self._chosen(run), 0)
        in_run = run * self._every + offset + skipped
        found: Indices = np.where(whole, in_run, indices + self._runs)
        return found

    def _chosen(self, runs: Indices) -> Indices:
        """Return which sample of each run is a test sample."""
        chosen: Indices = (mixed_bits(runs.astype(np.uint64) ^ self._key) % np.uint64(self._every)).astype(np.int64)
        return chosen
