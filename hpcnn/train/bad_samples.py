"""Counts the bad samples that the ranks have met together, and ends the training where they are too many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hpcnn.data.dataset import DataSet
from hpcnn.data.stream.streamed import StreamedSet, bad_of, source_of
from hpcnn.parallel.base import Strategy
from hpcnn.train.agreement import on_rank_0
from hpcnn.util.errors import UsageError

_NAMED = 20


def bad_samples(data: DataSet, strategy: Strategy, allowed: int) -> dict[int, str]:
    """Return the bad training samples of all ranks so far, by number, with the reason; all ranks must call it.

    Raises UsageError on every rank where they are more than are allowed.
    """
    if not allowed:
        return {}
    of_ranks = strategy.collect(own_bad_samples(data))
    return on_rank_0(strategy, lambda: _together(of_ranks or [], allowed))


def own_bad_samples(data: DataSet) -> Mapping[int, str]:
    """Return the bad training samples that this rank has met, by number, and why."""
    return bad_of(source_of(data.x_train)) if isinstance(data, StreamedSet) else data.bad


def remember(data: DataSet, bad: Mapping[int, str]) -> None:
    """Count the bad samples of an earlier attempt, of all its ranks, among those of this rank."""
    if isinstance(data, StreamedSet):
        bad_of(source_of(data.x_train)).update(bad)


def _together(of_ranks: Iterable[Mapping[int, str]], allowed: int) -> dict[int, str]:
    found = {number: reason for bad in of_ranks for number, reason in bad.items()}
    if len(found) > allowed:
        named = "; ".join(f"{number}: {reason}" for number, reason in sorted(found.items())[:_NAMED])
        raise UsageError(f"--skip-bad: {len(found)} samples are bad, and {allowed} are allowed: {named}")
    return found
