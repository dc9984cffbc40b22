"""Checks that all ranks hold identical weights and do the same: the signs that no reduction was missed.

A lost reduction shows in no loss curve: each rank trains well, on its own share. So every epoch ends with a check,
which costs one checksum of the weights a rank. The ranks of a user's script meet more often, and tell where they are:
a callback on rank 0 alone, or one batch more on one rank, is named instead of waited for.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from hpcnn.parallel.base import Strategy
from hpcnn.rundir.layout import RefusedRunDir
from hpcnn.util.errors import HpcnnError, RunError, UsageError
from hpcnn.util.text import first_few
from hpcnn.util.types import Json, KerasModel

T = TypeVar("T")

# The errors of rank 0 that the others raise too, the most special first; of any other kind they raise the last.
_KINDS: tuple[type[HpcnnError], ...] = (RefusedRunDir, UsageError, RunError)


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
    check_same(strategy, {"weights": checksum(model.weights)})


def meet(strategy: Strategy, place: str, **facts: Json) -> None:
    """Wait for all ranks of a user's script, and check that they say the same.

    place: where this rank is, in words that follow "rank 0 ". facts: keys of ``_DIFFERENCES`` with short values. Raises
    RunError on every rank, naming the first thing that differs and its likely cause.
    """
    if strategy.processes > 1:
        check_same(strategy, {"place": place, **facts})


def check_same(strategy: Strategy, facts: Mapping[str, Json]) -> None:
    """Raise RunError unless all ranks have the same facts. Only where they differ is it asked who has which."""
    least, greatest = strategy.extremes([_digest(facts)])
    if least == greatest or not strategy.communicates:
        return
    ranks = strategy.collect(facts)
    on_rank_0(strategy, lambda: _name_difference(ranks or []))


def _digest(facts: Mapping[str, Json]) -> int:
    """Return a number by which equal facts are known; 48 bits, which a sum of doubles keeps."""
    return int.from_bytes(hashlib.blake2b(repr(sorted(facts.items())).encode(), digest_size=6).digest(), "big")


def _name_difference(ranks: Sequence[Mapping[str, Json]]) -> None:
    """Raise the error of the first fact in the table that differs."""
    for key, (error, words) in _DIFFERENCES.items():
        values = [rank.get(key) for rank in ranks]
        if any(repr(value) != repr(values[0]) for value in values):
            raise error(words(values))
    raise RunError(f"the ranks are not at the same point: {_by_rank(ranks)}")


def on_rank_0(strategy: Strategy, function: Callable[[], T]) -> T:
    """Call a function on rank 0 alone; return its result, or raise its error for people, on every rank."""
    done: tuple[T | None, tuple[int, str] | None] = (None, None)
    if strategy.is_chief:
        try:
            done = (function(), None)
        except HpcnnError as error:
            kind = next(number for number, kind in enumerate(_KINDS) if isinstance(error, kind) or kind is RunError)
            strategy.share((None, (kind, str(error))))
            raise
    result, failed = strategy.share(done if strategy.is_chief else None)
    if failed is not None:
        kind, text = failed
        raise _KINDS[kind](text)
    return result  # type: ignore[return-value]  # where nothing failed, it is what the function returned


def _places(places: Sequence[Json]) -> str:
    return (
        f"the ranks are not at the same point: {_by_rank(places)}. All ranks must do the same: give a callback that "
        "decides (EarlyStopping, one that sets stop_training) to every rank, not to rank 0 alone, and call fit() and "
        "the methods of hpcnn's run equally often on all of them"
    )


def _batches(counts: Sequence[Json]) -> str:
    return (
        f"the ranks did different numbers of batches in this epoch: {_by_rank(counts)}. Give each the same number: "
        "divide the data with run.shard(), or limit them with steps_per_epoch"
    )


def _steps(counts: Sequence[Json]) -> str:
    numbers = first_few(["unknown" if count is None else str(count) for count in counts])
    return (
        f"the ranks would do different numbers of steps an epoch ({numbers}): "
        "give each the same number of samples, as run.shard() does"
    )


def _names(names: Sequence[Json]) -> str:
    return f"epoch.log: the ranks noted different values; each must note the same names: {_by_rank(names)}"


def _shapes(shapes: Sequence[Json]) -> str:
    return f"gather: the ranks' arrays have different shapes: {first_few(sorted({str(shape) for shape in shapes}))}"


def _variables(shapes: Sequence[Json]) -> str:
    return f"the ranks broadcast different variables, of the shapes: {_by_rank(shapes)}"


def _rates(rates: Sequence[Json]) -> str:
    return (
        f"the ranks have different learning rates: {_by_rank(rates)}. Give a callback that sets the rate "
        "(ReduceLROnPlateau, LearningRateScheduler) to every rank, after hpcnn's own: run.callbacks(...) gives all of "
        "them the same averaged logs"
    )


def _unlike_the_first(sums: Sequence[Json]) -> str:
    different = [rank for rank, value in enumerate(sums) if value != sums[0]]
    return f"rank {first_few(different)} of {len(sums)} differ from rank 0"


def _weights(sums: Sequence[Json]) -> str:
    return (
        f"the ranks do not hold the same weights: {_unlike_the_first(sums)}. "
        "Gradients are not being reduced, or one rank has changed its weights. In a script of your own: is the "
        "optimizer the one that run.distribute() or hvd.DistributedOptimizer() returned, does every optimizer go "
        "through it, and does every rank load the same weights?"
    )


def _samples(counts: Sequence[Json]) -> str:
    return (
        f"--data: the ranks have different numbers of training and test samples: {_by_rank(counts)}. Do all nodes have "
        "the same files, and does a function of yours give the same set whenever it is called?"
    )


def _data(sums: Sequence[Json]) -> str:
    return (
        f"--data: the ranks do not have the same samples: {_unlike_the_first(sums)}. "
        "Each rank reads the whole set by itself, so a function must give the same one whenever it is called: give "
        "a seed to whatever is drawn by chance (random_state=0, np.random.default_rng(0), shuffle(seed=0)), and sort "
        "the names of files (glob and listdir give them in any order)"
    )


# What all ranks must say alike -> the error where they differ, and what it says of the values, by rank.
_DIFFERENCES: Mapping[str, tuple[type[HpcnnError], Callable[[Sequence[Json]], str]]] = {
    "samples": (UsageError, _samples),
    "data": (UsageError, _data),
    "place": (RunError, _places),
    "steps": (RunError, _steps),
    "batches": (RunError, _batches),
    "names": (UsageError, _names),
    "shape": (UsageError, _shapes),
    "variables": (UsageError, _variables),
    "learning rate": (RunError, _rates),
    "weights": (RunError, _weights),
}


def _by_rank(values: Sequence[Json]) -> str:
    """Return what each rank says: those that say the same as rank 0 are left out, but rank 0."""
    named = [0, *(rank for rank, value in enumerate(values) if value != values[0])]
    return first_few([f"rank {rank} {_text(values[rank])}" for rank in named])


def _text(value: Json) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
