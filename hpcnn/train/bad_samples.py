"""Counts the bad samples that the ranks have met together, and ends the training where they are too many."""

from __future__ import annotations

from hpcnn.data.dataset import DataSet
from hpcnn.data.stream.streamed import StreamedSet, bad_of, source_of
from hpcnn.parallel.base import Strategy
from hpcnn.util.errors import UsageError

_NAMED = 20


def bad_samples(data: DataSet, strategy: Strategy, allowed: int) -> dict[int, str]:
    """Return the bad training samples of all ranks so far, by number; all ranks must call it.

    Raises UsageError on every rank where they are more than are allowed.
    """
    if not allowed or not isinstance(data, StreamedSet):
        return {}
    own = {str(number): reason for number, reason in bad_of(source_of(data.x_train)).items()}
    found = {int(number): str(reason) for rank in strategy.gather_facts(own) for number, reason in rank.items()}
    if len(found) > allowed:
        named = "; ".join(f"{number}: {reason}" for number, reason in sorted(found.items())[:_NAMED])
        raise UsageError(f"--skip-bad: {len(found)} samples are bad, and {allowed} are allowed: {named}")
    return found
