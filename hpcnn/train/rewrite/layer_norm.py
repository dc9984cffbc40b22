"""Layer normalization with a gradient in fewer passes over the values. Must not know ranks."""

from __future__ import annotations

from contextlib import ExitStack

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.train.rewrite.recorded import constant, with_gradient
from hpcnn.util.types import Layer, Tensor


def normalizes_rows(layer: Layer) -> bool:
    """Return whether a layer is Keras's own normalization of each sample's or pixel's last axis, on processors."""
    return (
        type(layer) is keras.layers.LayerNormalization
        and layer.built
        and not is_altered(layer)
        and not layer.rms_scaling
        and layer.axis == [-1]
        and layer.compute_dtype in ("float32", "bfloat16", "float16")
        and layer.variable_dtype == "float32"
        and not tf.config.list_logical_devices("GPU")
    )


def normalize_rows(changes: ExitStack, layer: Layer) -> None:
    """Keep what is normalized, of which the gradient is a few sums. Equal to rounding, in float32 as in Keras.

    Two thirds of the time of Keras's operations, whose gradients go through mean, variance and square one by one.
    """

    def call(inputs: Tensor) -> Tensor:
        scale, offset = (None if part is None else tf.convert_to_tensor(part) for part in (layer.gamma, layer.beta))
        rows = tf.cast(inputs, tf.float32)
        return tf.cast(_normalized(rows, scale, offset, layer.epsilon), layer.compute_dtype)

    change(changes, layer, "call", call)


def _normalized(inputs: Tensor, scale: Tensor | None, offset: Tensor | None, epsilon: float) -> Tensor:
    """*graph*: y = scale x' + offset with x' = (x - mean) r, r = 1 / sqrt(variance + epsilon).

    dy/dx, for g = dy scale: r (g - mean(g) - x' mean(g x')), means over the last axis.
    """
    weights = [part for part in (scale, offset) if part is not None]
    kept: list[Tensor] = []

    def normalize() -> Tensor:
        centred = inputs - tf.reduce_mean(inputs, -1, keepdims=True)
        inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), -1, keepdims=True) + constant(epsilon, tf.float32))
        kept[:] = centred * inverse, inverse
        result = kept[0] if scale is None else kept[0] * scale
        return tf.identity(result) if offset is None else result + offset

    def gradient(upstream: Tensor) -> list[Tensor]:
        normal, inverse = kept
        product, others = upstream * normal, list(range(inputs.shape.rank - 1))
        of_normal = upstream if scale is None else upstream * scale
        spread = product if scale is None else product * scale
        mean, share = (tf.reduce_mean(part, -1, keepdims=True) for part in (of_normal, spread))
        of_weights = [] if scale is None else [tf.reduce_sum(product, others)]
        of_weights += [] if offset is None else [tf.reduce_sum(upstream, others)]
        return [(of_normal - mean - normal * share) * inverse, *of_weights]

    return with_gradient(normalize, gradient, [inputs, *weights])
