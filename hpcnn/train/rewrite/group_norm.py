"""Group normalization in fewer passes over the values, forward and back. Must not know ranks."""

from __future__ import annotations

import math
from contextlib import ExitStack

import keras
import numpy as np
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.train.rewrite.recorded import with_gradient
from hpcnn.util.types import Layer, Tensor


def normalizes_groups(layer: Layer) -> bool:
    """Return whether a layer is Keras's own normalization of groups of the last axis, on processors."""
    return (
        type(layer) is keras.layers.GroupNormalization
        and layer.built
        and not is_altered(layer)
        and layer.axis == -1
        and layer.compute_dtype in ("float32", "bfloat16", "float16")
        and layer.variable_dtype == "float32"
        and not tf.config.list_logical_devices("GPU")
    )


def normalize_groups(changes: ExitStack, layer: Layer) -> None:
    """Let every pass be over (samples, pixels, channels); what groups share are small products with a table.

    Equal to rounding, in float32 as in Keras, which divides the channels into an axis of groups and one within.
    """
    as_keras_does = layer.call

    def call(inputs: Tensor) -> Tensor:
        sizes = inputs.shape[1:].as_list()
        if None in sizes:
            return as_keras_does(inputs)
        scale, offset = (None if part is None else tf.convert_to_tensor(part) for part in (layer.gamma, layer.beta))
        maps = tf.reshape(tf.cast(inputs, tf.float32), [-1, math.prod(sizes[:-1]), sizes[-1]])
        normalized = _normalized(maps, scale, offset, layer.groups, layer.epsilon)
        return tf.cast(tf.reshape(normalized, [-1, *sizes]), layer.compute_dtype)

    change(changes, layer, "call", call)


def _normalized(maps: Tensor, scale: Tensor | None, offset: Tensor | None, groups: int, epsilon: float) -> Tensor:
    """*graph*: y = scale x' + offset with x' = (x - mean) r, r = 1 / sqrt(variance + epsilon), by sample and group.

    dy/dx, for g = dy scale: r (g - mean(g) - x' mean(g x')). maps: (samples, pixels, channels).
    """
    pixels, channels = maps.shape[1:]
    of_group = np.equal.outer(np.arange(channels) // (channels // groups), np.arange(groups)).astype(np.float32)
    gather = tf.constant(of_group / (pixels * channels // groups))
    give = tf.constant(of_group)
    weights = [part for part in (scale, offset) if part is not None]
    factor = tf.ones([channels]) if scale is None else scale
    kept: list[Tensor] = []

    def means(sums: Tensor) -> Tensor:
        """Return the mean of each channel's group, (samples, channels), from the channels' sums over pixels."""
        return tf.matmul(tf.matmul(sums, gather), give, transpose_b=True)

    def normalize() -> Tensor:
        centred = maps - means(tf.reduce_sum(maps, 1))[:, None]
        inverse = tf.math.rsqrt(means(tf.reduce_sum(tf.square(centred), 1)) + epsilon)
        kept[:] = centred, inverse
        result = centred * (inverse * factor)[:, None]
        return result if offset is None else result + offset

    def gradient(upstream: Tensor) -> list[Tensor]:
        centred, inverse = kept
        sums, products = tf.reduce_sum(upstream, 1), tf.reduce_sum(upstream * centred, 1) * inverse
        mean, share = means(sums * factor), means(products * factor)
        taken = centred * (share * tf.square(inverse))[:, None] + (mean * inverse)[:, None]
        of_weights = [] if scale is None else [tf.reduce_sum(products, 0)]
        of_weights += [] if offset is None else [tf.reduce_sum(sums, 0)]
        return [upstream * (factor * inverse)[:, None] - taken, *of_weights]

    return with_gradient(normalize, gradient, [maps, *weights])
