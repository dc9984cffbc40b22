"""Which parameters come next: the points that are known beforehand, Optuna's samplers, and its pruners."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any

from hpcnn.search.space import distribution, points
from hpcnn.search.spec import Search
from hpcnn.specs.train import TrainSpec
from hpcnn.zoo.registry import is_zoo, recipe

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

# What a user's own model trains where nobody says (train/setup.py).
_OWN_EPOCHS = 10


def distributions(search: Search) -> dict[str, BaseDistribution]:
    """Return what each parameter is drawn from."""
    return {key: distribution(values) for key, values in search.space.items()}


def known_points(search: Search) -> list[dict[str, Any]]:
    """Return the points that do not depend on results, the first trials: of grid and random search, all of them.

    They follow from the file alone. More trials add to them at the end and change none, so a search can be extended.
    """
    if search.options.method == "grid":
        values = (points(values, key) for key, values in search.space.items())
        return [dict(zip(search.space, point, strict=True)) for point in itertools.product(*values)]
    count = search.trials
    if search.options.method == "tpe":
        count = min(count, search.options.startup_trials)
    return _random(search, count)


def _random(search: Search, count: int) -> list[dict[str, Any]]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(search.options.seed))
    return [dict(study.ask(distributions(search)).params) for _ in range(count)]


def sampler(search: Search, number: int) -> BaseSampler:
    """Return what draws trial ``number`` where it is not known beforehand.

    Each trial has a generator of its own, so that a search that was cut off goes on with the trials it would have had.
    constant_liar: trials under way count as bad ones, or several workers would draw next to each other.
    """
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(n_startup_trials=0, seed=search.options.seed + number, constant_liar=True)


def pruner(search: Search) -> BasePruner:
    """Return what judges a trial after each of its epochs."""
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
        return optuna.pruners.HyperbandPruner(min_resource=options.warmup_epochs, max_resource=most_epochs(search))
    return optuna.pruners.NopPruner()


def most_epochs(search: Search) -> int:
    """Return the epochs of the longest trial: as asked for, else the lecture's."""
    if "train.epochs" in search.space:
        values = search.space["train.epochs"]
        return int(max(values.items) if hasattr(values, "items") else values.high)
    return int(search.train.get("epochs") or lecture_epochs(search.train.get("model", TrainSpec.model)))


def lecture_epochs(model: str) -> int:
    """Return the epochs of a lecture's network, or hpcnn's own of any other."""
    return recipe(model).epochs if is_zoo(model) else _OWN_EPOCHS
