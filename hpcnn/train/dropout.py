"""Gives every replica its own dropout masks, drawn from the one seed.

All replicas build the model from the same seed, so their random generators hold the same state, and must: identical
state is what a checkpoint restores. What is drawn is the state plus the replica's number. Replica 0 draws what a
serial run draws.
"""

from __future__ import annotations

from typing import Any

from hpcnn.parallel.base import Strategy
from hpcnn.util.types import KerasModel


def draw_own_masks(model: KerasModel, strategy: Strategy) -> None:
    """Make each random generator of the model's layers add the running replica's number to the seed it draws."""
    if strategy.size == 1:
        return
    for layer in model._flatten_layers(include_self=True, recursive=True):
        for generator in getattr(layer, "_seed_generators", []):
            if "next" not in vars(generator):  # else this model was here before: a script's second `fit`
                generator.next = _next_of(generator, strategy)


def _next_of(generator: Any, strategy: Strategy) -> Any:
    draw = generator.next

    import tensorflow as tf

    def draw_for_replica(ordered: bool = True) -> Any:
        replica = strategy.replicas[0] + strategy.local_replica()
        seed = draw(ordered)
        return tf.add(seed, tf.cast([replica, 0], seed.dtype))

    return draw_for_replica
