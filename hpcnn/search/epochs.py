"""The epochs of a trial's run on the test set, of a finished run and of one that still trains.

Reads epoch files alone; must not import Optuna.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import open_regular, parse_json, read_lines
from hpcnn.util.types import Json


@dataclass(frozen=True)
class Epoch:
    """One epoch of a trial on the test set; None for a number that is missing or not finite."""

    number: int
    accuracy: float | None
    loss: float | None


def epochs_of(run: RunDir) -> list[Epoch]:
    """Return the finished epochs of a run, in order."""
    files = [file for file in run.epochs_of_rank_0() if file.exists()]
    found = (_epoch(line) for file in files for line in read_lines(file))
    return [epoch for epoch in found if epoch is not None]


class EpochReader:
    """Read the finished epochs of a running training as they are written."""

    def __init__(self, run: RunDir) -> None:
        self._read = dict.fromkeys(run.epochs_of_rank_0(), 0)
        self.epochs: list[Epoch] = []

    def read_new(self) -> int:
        """Read further lines; return the number of new epochs."""
        before = len(self.epochs)
        for path in self._read:
            if path.exists():
                self._read_file(path)
        return len(self.epochs) - before

    def _read_file(self, path: Path) -> None:
        with open_regular(path) as file:
            file.seek(self._read[path])
            for line in file:
                if not line.endswith(b"\n"):  # a line that is being written
                    break
                self._read[path] += len(line)
                try:
                    epoch = _epoch(parse_json(line.decode()))
                except ValueError:  # the middle of a line, in a file that replaced that of an earlier attempt
                    continue
                if epoch is not None and (not self.epochs or epoch.number > self.epochs[-1].number):
                    self.epochs.append(epoch)


def _epoch(line: Json) -> Epoch | None:
    """Return the epoch in a record of rank 0; None of any other record, and of one that is damaged."""
    if not isinstance(line, dict) or line.get("rank", 0) != 0 or type(line.get("epoch")) is not int:
        return None
    test = line.get("validation")
    accuracy, loss = (test.get(key) if isinstance(test, dict) else None for key in ("accuracy", "loss"))
    return Epoch(line["epoch"], _number(accuracy), _number(loss))


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
