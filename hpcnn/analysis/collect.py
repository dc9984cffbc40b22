"""Many run directories in memory: facts as dictionaries, a row an epoch and rank in columns. Computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from hpcnn.analysis.columns import Columns
from hpcnn.rundir.read import Row, read_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Rows that are in memory as dictionaries at a time.
_BATCH = 20_000


class Runs(NamedTuple):
    """Runs as they were read: path, facts and number of epoch rows of each, and all epoch rows as columns."""

    paths: list[str]
    rows: list[Row]
    counts: npt.NDArray[np.int64]
    epochs: Columns

    def take(self, numbers: Sequence[int]) -> Runs:
        """Return the runs with these numbers, in this order."""
        ends = np.cumsum(self.counts)
        rows = [np.arange(ends[n] - self.counts[n], ends[n]) for n in numbers]
        return Runs(
            [self.paths[n] for n in numbers],
            [self.rows[n] for n in numbers],
            self.counts[list(numbers)],
            self.epochs.take(np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int64)),
        )

    def merged(self, more: Runs, paths: Sequence[Path]) -> Runs:
        """Return the runs of both, in the order of ``paths``, which are theirs."""
        both = Runs(
            self.paths + more.paths,
            self.rows + more.rows,
            np.concatenate([self.counts, more.counts]),
            Columns.concatenated([self.epochs, more.epochs]),
        )
        place = {path: number for number, path in enumerate(both.paths)}
        return both.take([place[str(path)] for path in paths])


def read_runs(paths: Sequence[Path], types: Mapping[str, str]) -> Runs:
    """Read the runs ``paths``; ``types`` are those of the columns of their epochs."""
    rows, counts, pending = [], [], []
    parts = [Columns.of([], types)]
    for path in paths:
        record = read_run(path)
        rows.append(record.run)
        counts.append(len(record.epochs))
        pending += record.epochs
        if len(pending) >= _BATCH:
            parts.append(Columns.of(pending, types))
            pending = []
    parts.append(Columns.of(pending, types))
    return Runs([str(path) for path in paths], rows, np.array(counts, np.int64), Columns.concatenated(parts))
