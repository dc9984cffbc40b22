"""Max pooling before the activation and the bias's gradient: a quarter of the values for 2 x 2. Must not know data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_watched
from hpcnn.util.types import Layer, Tensor

# Functions that never decrease, so that the largest of their values is the value of the largest.
_MONOTONE = ("relu", "leaky_relu", "elu", "selu", "tanh", "sigmoid")


def pooled(layers: list[Layer], only_source: Callable[[Layer], Layer | None]) -> Iterator[tuple[Layer, Layer]]:
    """Yield each max pooling and what activates right before it, where activated values go nowhere else."""
    for pool in layers:
        if type(pool) is keras.layers.MaxPooling2D and not is_watched(pool):
            before = only_source(pool)
            if before is not None and _activation(before) is not None:
                yield pool, before


def activate_after_pooling(changes: ExitStack, pool: Layer, before: Layer) -> None:
    """Pool first and activate what is left, a quarter of the values for 2 x 2; sum the bias's gradient over them too.

    The largest of monotone values is the value of the largest, so outputs are equal bit by bit. Gradients too, to
    rounding, except where rounding makes two activated values equal that were not before: they go to the first of the
    two in one way, to the larger in the other.
    """
    activate, pooling = _activation(before), pool.call
    assert activate is not None
    if type(before) is not keras.layers.Conv2D:
        change(changes, before, "call", lambda inputs, *args, **kwargs: inputs)
        change(changes, pool, "call", lambda *args, **kwargs: activate(pooling(*args, **kwargs)))
        return
    form = "NHWC" if before.data_format == "channels_last" else "NCHW"

    def convolve(inputs: Tensor) -> Tensor:
        convolved = before.convolution_op(inputs, before.kernel)
        return tf.nn.bias_add(convolved, tf.stop_gradient(before.bias), form) if before.use_bias else convolved

    def pool_and_activate(*args: Any, **kwargs: Any) -> Tensor:
        pooled = pooling(*args, **kwargs)
        return activate(_give_gradient(pooled, before.bias, form) if before.use_bias else pooled)

    change(changes, before, "call", convolve)
    change(changes, pool, "call", pool_and_activate)


def _activation(layer: Layer) -> Callable[[Tensor], Tensor] | None:
    """Return the monotone function that the layer applies to each value at the end, None for any other layer."""
    if is_watched(layer):
        return None
    if type(layer) in (keras.layers.ReLU, keras.layers.LeakyReLU):
        apply: Callable[[Tensor], Tensor] = layer.call
        return apply
    if type(layer) in (keras.layers.Conv2D, keras.layers.Activation):
        name = getattr(layer.activation, "__name__", "")
        if name in _MONOTONE and layer.activation is getattr(keras.activations, name):
            function: Callable[[Tensor], Tensor] = layer.activation
            return function
    return None


def _give_gradient(pooled: Tensor, bias: Tensor, form: str) -> Tensor:
    """*graph*: return ``pooled``, which contains the bias already, and let the bias have its gradient from there."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def contains(pooled: Tensor, bias: Tensor) -> Tensor:
        def gradient(upstream: Tensor) -> Tensor:
            return upstream, tf.reduce_sum(upstream, [0, 1, 2] if form == "NHWC" else [0, 2, 3])

        return tf.identity(pooled), gradient

    return contains(pooled, tf.convert_to_tensor(bias))
