"""The epochs of a trial's run on the test set, of a finished run and of one that still trains.

Reads epoch files alone; must not import Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import parse_json, read_lines
from hpcnn.util.types import Json


@dataclass(frozen=True)
class Epoch:
    """One epoch of a trial on the test set; None for a number that is missing or not finite."""

    number: int
    accuracy: float | None
    loss: float | None


def epochs_of(run: RunDir) -> list[Epoch]:
    """Return the finished epochs of a run, in order."""
    file = run.epochs(0)
    return [_epoch(line) for line in (read_lines(file) if file.exists() else ())]


class EpochReader:
    """Read the finished epochs of a running training as they are written."""

    def __init__(self, run: RunDir) -> None:
        self._file, self._read = run.epochs(0), 0
        self.epochs: list[Epoch] = []

    def read_new(self) -> int:
        """Read further lines; return the number of new epochs."""
        before = len(self.epochs)
        if not self._file.exists():
            return 0
        with self._file.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):  # a line that is being written
                    break
                self._read += len(line)
                try:
                    epoch = _epoch(parse_json(line.decode()))
                except ValueError:  # the middle of a line, in a file that replaced that of an earlier attempt
                    continue
                if not self.epochs or epoch.number > self.epochs[-1].number:
                    self.epochs.append(epoch)
        return len(self.epochs) - before


def _epoch(line: Mapping[str, Json]) -> Epoch:
    test = line.get("validation") or {}
    return Epoch(int(line["epoch"]), test.get("accuracy"), test.get("loss"))
