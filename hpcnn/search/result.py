"""Read the results of a trial from its run directory, and record its outcome in Optuna's journal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.rundir.close import finish
from hpcnn.rundir.layout import STOPPED_EXIT_STATUS
from hpcnn.search.epochs import Epoch, epochs_of
from hpcnn.search.hparams import write_session
from hpcnn.search.spec import Search
from hpcnn.search.storage import run_of
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial

# The attribute of a trial that holds the epoch after which it was pruned. The worker writes it before it requests the
# stop, so that another worker, which finds the stopped trial, knows the reason.
PRUNED = "pruned_after"


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
