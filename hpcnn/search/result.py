"""Read the results of a trial from its run directory, and record its outcome in Optuna's journal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.rundir.close import finish
from hpcnn.rundir.layout import STOPPED_EXIT_STATUS, RunDir
from hpcnn.search.hparams import write_session
from hpcnn.search.spec import Search
from hpcnn.search.storage import run_of
from hpcnn.util.files import read_lines
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial

# The attribute of a trial that holds the epoch after which it was pruned. The worker writes it before it requests the
# stop, so that another worker, which finds the stopped trial, knows the reason.
PRUNED = "pruned_after"


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
                    epoch = _epoch(json.loads(line))
                except ValueError:  # the middle of a line, in a file that replaced that of an earlier attempt
                    continue
                if not self.epochs or epoch.number > self.epochs[-1].number:
                    self.epochs.append(epoch)
        return len(self.epochs) - before


def _epoch(line: Mapping[str, Json]) -> Epoch:
    test = line.get("validation") or {}
    return Epoch(int(line["epoch"]), test.get("accuracy"), test.get("loss"))


def value_of(search: Search, epochs: Sequence[Epoch]) -> float:
    """Return the metric of a trial after these epochs; nan if the run did not record it."""
    metric = search.options.metric
    if metric == "best_accuracy":
        known = [epoch.accuracy for epoch in epochs if epoch.accuracy is not None]
        return (max if search.options.maximizes else min)(known, default=math.nan)
    last = getattr(epochs[-1], metric) if epochs else None
    return math.nan if last is None else float(last)


def record_outcome(search: Search, study: Study, trial: Trial, folder: Path) -> str | None:
    """Record the outcome of a trial that no worker trains; return completed, pruned or failed.

    Returns None, and records nothing, for an interrupted trial, which is to be resumed.
    """
    from optuna.trial import TrialState

    run = run_of(folder, trial.number)
    pruned_after = trial.user_attrs.get(PRUNED)
    if pruned_after is not None and run.read_result() is None:
        finish(run.path, STOPPED_EXIT_STATUS, reason=f"pruned after epoch {pruned_after}")
    result = run.read_result()
    if result is None or (result.get("status") == "interrupted" and pruned_after is None):
        return None
    epochs = epochs_of(run)
    value = value_of(search, epochs)
    status, reason = str(result["status"]), result.get("reason")
    if status == "completed" and math.isnan(value):
        status, reason = "failed", f"its {search.options.metric.replace('_', ' ')} is not a finite number"
    status = "pruned" if status == "interrupted" else status
    facts: dict[str, Json] = {
        "accuracy": epochs[-1].accuracy if epochs else None,
        "best_accuracy": max((e.accuracy for e in epochs if e.accuracy is not None), default=None),
        "loss": epochs[-1].loss if epochs else None,
        "epochs": len(epochs),
        "seconds": result.get("seconds_total"),
        "reason": reason,
    }
    for key, fact in facts.items():
        trial.set_user_attr(key, fact)
    if status != "failed":
        write_session(run, search, trial.params, epochs)
    if status == "completed":
        study.tell(trial.number, value)
    else:
        study.tell(trial.number, state=TrialState.PRUNED if status == "pruned" else TrialState.FAIL)
    return status
