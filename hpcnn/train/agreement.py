"""Checks that all ranks hold identical weights and do the same: the signs that no reduction was missed.

A lost reduction shows in no loss curve: each rank trains well, on its own share. So every epoch ends with a check,
which costs one checksum of the weights a rank. The ranks of a user's script meet more often, and tell where they are:
a callback on rank 0 alone, or one batch more on one rank, is named instead of waited for.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hpcnn.parallel.base import Strategy
from hpcnn.util.errors import RunError
from hpcnn.util.text import first_few
from hpcnn.util.types import Json, KerasModel


def checksum(variables: Iterable[Any]) -> int:
    """Return a CRC-32 of the values of Keras or TensorFlow variables, bit for bit."""
    crc = 0
    for variable in variables:
        crc = zlib.crc32(np.ascontiguousarray(variable.numpy()).tobytes(), crc)
    return crc


def check_same_weights(model: KerasModel, strategy: Strategy) -> None:
    """Raise RunError naming the ranks whose weights, moving statistics included, differ from rank 0's.

    All ranks must call it. Says nothing of a measurement without communication, in which they differ by design.
    """
    if strategy.processes == 1 or not strategy.communicates:
        return
    sums = strategy.gather([float(checksum(model.weights))])[:, 0]
    _check_weights(sums.tolist())


def meet(strategy: Strategy, place: str, **facts: Json) -> Sequence[Mapping[str, Json]]:
    """Wait for all ranks of a user's script, and return the facts of each.

    place: where this rank is, in words that follow "rank 0 ". The facts ``epochs``, ``batches``, ``learning rate`` and
    ``weights`` must agree. Raises RunError on every rank, naming the first thing that differs and its likely cause.
    """
    if strategy.processes == 1:
        return [facts]
    ranks = strategy.gather_facts({"place": place, **facts})
    if not strategy.communicates:
        return ranks
    for key, check in _CHECKS.items():
        if any(rank.get(key) != ranks[0].get(key) for rank in ranks):
            check([rank.get(key) for rank in ranks])
    return ranks


def _check_places(places: Sequence[Json]) -> None:
    raise RunError(
        f"the ranks are not at the same point: {_by_rank(places)}. All ranks must do the same: give a callback that "
        "decides (EarlyStopping, one that sets stop_training) to every rank, not to rank 0 alone, and call fit() and "
        "the methods of hpcnn's run equally often on all of them"
    )


def _check_batches(counts: Sequence[Json]) -> None:
    raise RunError(
        f"the ranks did different numbers of batches in this epoch: {_by_rank(counts)}. Give each the same number: "
        "divide the data with run.shard(), or limit them with steps_per_epoch"
    )


def _check_epochs(counts: Sequence[Json]) -> None:
    raise RunError(f"the ranks did different numbers of epochs: {_by_rank(counts)}")


def _check_rates(rates: Sequence[Json]) -> None:
    raise RunError(
        f"the ranks have different learning rates: {_by_rank(rates)}. Give a callback that sets the rate "
        "(ReduceLROnPlateau, LearningRateScheduler) to every rank, after hpcnn's own: run.callbacks(...) gives all of "
        "them the same averaged logs"
    )


def _check_weights(sums: Sequence[Any]) -> None:
    different = [rank for rank, value in enumerate(sums) if value != sums[0]]
    if different:
        raise RunError(
            f"the ranks do not hold the same weights: rank {first_few(different)} of {len(sums)} differ from rank 0. "
            "Gradients are not being reduced, or one rank has changed its weights. In a script of your own: is the "
            "optimizer the one that run.distribute() or hvd.DistributedOptimizer() returned, does every optimizer go "
            "through it, and does every rank load the same weights?"
        )


_CHECKS: Mapping[str, Callable[[Sequence[Json]], None]] = {
    "place": _check_places,
    "epochs": _check_epochs,
    "batches": _check_batches,
    "learning rate": _check_rates,
    "weights": _check_weights,
}


def _by_rank(values: Sequence[Json]) -> str:
    """Return what each rank says: those that say the same as rank 0 are left out, but rank 0."""
    named = [0, *(rank for rank, value in enumerate(values) if value != values[0])]
    return first_few([f"rank {rank} {_text(values[rank])}" for rank in named])


def _text(value: Json) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
