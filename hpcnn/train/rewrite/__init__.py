"""Faster ways to compute what a network's layers compute, taken while its training step is traced.

``rewritten(model)`` is a context: inside, the layers of a functional or sequential Keras model call other operations of
TensorFlow that give the same numbers sooner; outside, and in what is saved, the model is as the user made it. What each
rewrite leaves equal is said with it. docs/speed.md shows what they gain. Must not know data, ranks or clocks.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from hpcnn.train.rewrite.averages import averages_maps, give_back_shares
from hpcnn.train.rewrite.batch_norm import can_be_fused, fuse_batch_norm, has_bias_to_leave_out
from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.train.rewrite.depthwise import (
    convolve_depthwise,
    convolve_separable,
    has_slow_gradient,
    is_separable,
)
from hpcnn.train.rewrite.dropout import can_drop_by_few_bits, drop_by_few_bits
from hpcnn.train.rewrite.graph import sources
from hpcnn.train.rewrite.group_norm import normalize_groups, normalizes_groups
from hpcnn.train.rewrite.grouped import convolve_each_channel, is_depthwise
from hpcnn.train.rewrite.layer_norm import normalize_rows, normalizes_rows
from hpcnn.train.rewrite.pointwise import end_with_bias, is_pointwise, multiply_pixels
from hpcnn.train.rewrite.pooling import activate_after_pooling, pooled
from hpcnn.train.rewrite.silu import activate_in_fewer_passes, is_silu
from hpcnn.train.rewrite.sums import add_at_once, can_be_added_at_once
from hpcnn.util.types import KerasModel, Layer

__all__ = ["SWITCH", "change", "enabled", "is_altered", "rewrites", "rewritten"]

# Set to 0 to compute everything as Keras does: to compare, or should a rewrite ever be suspected.
SWITCH = "HPCNN_REWRITE"

# Rewrites that look at nothing but one layer: whether it is such a layer, what changes it, and the record's name of it.
_OF_ONE_LAYER: tuple[tuple[Callable[[Layer], bool], Callable[[ExitStack, Layer], None], str], ...] = (
    (can_drop_by_few_bits, drop_by_few_bits, "dropout from few bits"),
    (has_slow_gradient, convolve_depthwise, "depthwise convolution without slow gradients"),
    (is_separable, convolve_separable, "separable convolution as a product"),
    (is_silu, activate_in_fewer_passes, "silu in fewer passes"),
    (normalizes_rows, normalize_rows, "layer normalization in fewer passes"),
    (normalizes_groups, normalize_groups, "group normalization in fewer passes"),
    (averages_maps, give_back_shares, "gradient of global averages in one step"),
    (can_be_added_at_once, add_at_once, "sum in one operation"),
)


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
    only_source = sources(layers)
    pointwise = [layer for layer in layers if is_pointwise(layer)]
    for layer in pointwise:  # before what changes a convolution's call, which takes this part of it as it is
        multiply_pixels(changes, layer)
        taken["1 x 1 convolution as a product"] += 1
    for layer in layers:
        if is_depthwise(layer):
            convolve_each_channel(changes, layer)
            taken["convolution by groups as depthwise"] += 1
    for pool, before in pooled(layers, only_source):
        activate_after_pooling(changes, pool, before)
        taken["activation after pooling"] += 1
    for layer in layers:
        for applies, rewrite, name in _OF_ONE_LAYER:
            if applies(layer):
                rewrite(changes, layer)
                taken[name] += 1
    for layer in layers:
        if can_be_fused(layer):
            source = only_source(layer)
            biased = source if source is not None and has_bias_to_leave_out(source, layer) else None
            fuse_batch_norm(changes, layer, biased)
            taken["fused batch normalization"] += 1
            taken["bias within batch normalization"] += biased is not None
    for layer in pointwise:
        if layer.use_bias and not is_altered(layer):
            end_with_bias(changes, layer)
    return +taken
