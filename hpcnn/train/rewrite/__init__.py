"""Faster ways to compute what a network's layers compute, taken while its training step is traced.

``rewritten(model)`` is a context: inside, the layers of a functional or sequential Keras model call other operations of
TensorFlow that give the same numbers sooner; outside, and in what is saved, the model is as the user made it. What each
rewrite leaves equal is said with it. docs/speed.md shows what they gain. Must not know data, ranks or clocks.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from hpcnn.train.rewrite.batch_norm import can_be_fused, fuse_batch_norm
from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.train.rewrite.dropout import can_drop_by_few_bits, drop_by_few_bits
from hpcnn.train.rewrite.pooling import activate_after_pooling, pooled
from hpcnn.util.types import KerasModel

__all__ = ["SWITCH", "change", "enabled", "is_altered", "rewrites", "rewritten"]

# Set to 0 to compute everything as Keras does: to compare, or should a rewrite ever be suspected.
SWITCH = "HPCNN_REWRITE"


def enabled() -> bool:
    """Return whether rewrites are wanted (``HPCNN_REWRITE``, default 1)."""
    return os.environ.get(SWITCH, "1") != "0"


@contextmanager
def rewritten(model: KerasModel) -> Iterator[None]:
    """Let the model's layers compute in the faster way inside the context."""
    with ExitStack() as changes:
        _rewrite(model, changes)
        yield


def rewrites(model: KerasModel) -> dict[str, int]:
    """Return which rewrites a step of the model takes, by name, and in how many places."""
    with ExitStack() as changes:
        return dict(_rewrite(model, changes))


def _rewrite(model: KerasModel, changes: ExitStack) -> Counter[str]:
    taken: Counter[str] = Counter()
    if not enabled():
        return taken
    layers = list(model._flatten_layers(include_self=True, recursive=True))
    for pool, before in pooled(layers):
        activate_after_pooling(changes, pool, before)
        taken["activation after pooling"] += 1
    for layer in layers:
        if can_drop_by_few_bits(layer):
            drop_by_few_bits(changes, layer)
            taken["dropout from few bits"] += 1
        if can_be_fused(layer):
            fuse_batch_norm(changes, layer)
            taken["fused batch normalization"] += 1
    return taken
