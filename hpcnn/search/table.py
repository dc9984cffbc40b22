"""Tabulate the trials of a search, the best first, from Optuna's journal and the locks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.search.claim import UnderWay, under_way
from hpcnn.search.space import short
from hpcnn.search.spec import Search
from hpcnn.search.storage import run_of
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

STATES = ("completed", "pruned", "failed", "running", "interrupted", "unknown", "waiting")
# The table's own columns: a parameter of such a name keeps its full one.
_OWN = ("rank", "trial", "accuracy", "best_accuracy", "loss", "epochs", "seconds", "state", "reason", "path")


def rows(search: Search, study: Study, folder: Path) -> list[dict[str, Json]]:
    """Return a row for each trial that has begun: completed ones by rank, then the others in the order of STATES."""
    others = under_way(study, folder)
    found = [(trial, state) for trial, state in states(study, others) if state != "waiting"]
    sign = -1.0 if search.options.maximizes else 1.0

    def order(entry: tuple[FrozenTrial, str]) -> tuple[int, float, int]:
        trial, state = entry
        return STATES.index(state), 0.0 if trial.value is None else sign * trial.value, trial.number

    found.sort(key=order)
    reported = len(search.reference) > 0
    return [
        {
            "rank": rank if state == "completed" else None,
            "trial": trial.number,
            **{column(key): trial.params.get(key) for key in search.space},
            "accuracy": trial.user_attrs.get("accuracy"),
            "best_accuracy": trial.user_attrs.get("best_accuracy"),
            "loss": trial.user_attrs.get("loss"),
            "epochs": trial.user_attrs.get("epochs"),
            "seconds": trial.user_attrs.get("seconds"),
            "state": state,
            **({"reference": _reference(search, trial)} if reported else {}),
            "reason": {"completed": None, "unknown": others.no_answer}.get(state, trial.user_attrs.get("reason")),
            "path": str(run_of(folder, trial.number).path),
        }
        for rank, (trial, state) in enumerate(found, start=1)
    ]


def states(study: Study, others: UnderWay) -> list[tuple[FrozenTrial, str]]:
    """Return every trial with one of STATES. interrupted: the next worker resumes it.

    unknown: the scheduler does not say whether its worker still runs.
    """
    from optuna.trial import TrialState

    words = {
        TrialState.COMPLETE: "completed",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
        TrialState.WAITING: "waiting",
    }
    words_of_running = {
        **dict.fromkeys(others.trials, "running"),
        **dict.fromkeys(others.in_doubt, "unknown"),
    }
    return [
        (trial, words.get(trial.state) or words_of_running.get(trial.number, "interrupted"))
        for trial in study.get_trials(deepcopy=False)
    ]


def best(search: Search, study: Study) -> FrozenTrial | None:
    """Return the best completed trial, the first of equal ones; None if no trial is completed."""
    from optuna.trial import TrialState

    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1.0 if search.options.maximizes else 1.0
    return min(completed, key=lambda trial: sign * (trial.value or 0.0), default=None)


def column(key: str) -> str:
    """Return the name of a parameter's column."""
    return key if short(key) in _OWN else short(key)


def importances(study: Study, seed: int) -> dict[str, float]:
    """Return each parameter's share of the variance among the completed trials, largest first; sums to 1.

    fANOVA: F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing hyperparameter importance",
    ICML 2014; a random forest is fitted to the trials. Empty for fewer than four trials, and for trials with equal
    values, which have no variance.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    from hpcnn.util.extras import optional_module

    values = [trial.value for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
    if len(values) < 4 or len(set(values)) == 1:
        return {}
    optional_module("sklearn", "importances", "search")
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))
    return {key: float(share) for key, share in found.items()}


def _reference(search: Search, trial: FrozenTrial) -> float | None:
    """Return the reported accuracy of a trial's point, or None."""
    for point, accuracy in search.reference:
        if all(trial.params.get(key) == value for key, value in point.items()):
            return accuracy
    return None
