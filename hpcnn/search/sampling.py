"""Choose the parameters of trials: points that are known beforehand, Optuna's samplers, and its pruners."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING

from hpcnn.search.space import distribution, points
from hpcnn.search.spec import Search
from hpcnn.specs.complete import OWN_MODEL
from hpcnn.specs.train import TrainSpec
from hpcnn.util.types import Json
from hpcnn.zoo.registry import is_zoo, recipe

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler


def distributions(search: Search) -> dict[str, BaseDistribution]:
    """Return the distribution of each parameter."""
    return {key: distribution(values) for key, values in search.space.items()}


def known_points(search: Search) -> list[dict[str, Json]]:
    """Return the points of the first trials, which do not depend on results: of grid and random search, all points.

    They follow from the file only. More trials append points and change none, so that a search can be extended.
    """
    if search.options.method == "grid":
        values = (points(values, key) for key, values in search.space.items())
        return [dict(zip(search.space, point, strict=True)) for point in itertools.product(*values)]
    count = search.trials
    if search.options.method == "tpe":
        count = min(count, search.options.startup_trials)
    return _random(search, count)


def _random(search: Search, count: int) -> list[dict[str, Json]]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(search.options.seed))
    return [dict(study.ask(distributions(search)).params) for _ in range(count)]


def sampler(search: Search, number: int) -> BaseSampler:
    """Return the sampler of trial ``number``, if its point is not known beforehand.

    Each trial has its own random generator, so that a resumed search has the same trials as an uninterrupted one.
    constant_liar: running trials count as bad ones, or several workers would choose similar points.
    """
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(n_startup_trials=0, seed=search.options.seed + number, constant_liar=True)


def pruner(search: Search) -> BasePruner:
    """Return the pruner, which decides after each epoch whether a trial goes on."""
    import optuna

    options = search.options
    if options.pruning == "median":
        # Optuna's step is the epoch, from 1: it prunes from the step after the warm-up on
        return optuna.pruners.MedianPruner(
            n_startup_trials=options.startup_trials, n_warmup_steps=options.warmup_epochs + 1
        )
    if options.pruning == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=options.warmup_epochs)
    if options.pruning == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=options.warmup_epochs, max_resource=max_epochs(search))
    return optuna.pruners.NopPruner()


def max_epochs(search: Search) -> int:
    """Return the epochs of the longest trial: as given, else the lecture's."""
    if "train.epochs" in search.space:
        values = search.space["train.epochs"]
        return int(max(values.items) if hasattr(values, "items") else values.high)
    return int(search.train.get("epochs") or lecture_epochs(search.train.get("model", TrainSpec.model)))


def lecture_epochs(model: str) -> int:
    """Return the epochs of a lecture's network, or hpcnn's default for a user's own."""
    return recipe(model).epochs if is_zoo(model) else int(OWN_MODEL["epochs"])
