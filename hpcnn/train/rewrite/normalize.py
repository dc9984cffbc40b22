"""TensorFlow's operation of batch normalization with given moments, and the moments it finds. Must not know layers.

oneDNN has fast code where the channels fill its vectors: 64 channels take an eighth of the time of 72. So pixels side
by side are taken together as the channels of one, as many as fill a vector; what is found of each joins at the end.
"""

from __future__ import annotations

import math
from functools import cache

import tensorflow as tf

from hpcnn.train.rewrite.recorded import constant, zeros
from hpcnn.util.host import processor_has
from hpcnn.util.types import Tensor


def normalize(rows: Tensor, scale: Tensor, offset: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Tensor:
    """*graph*: return (rows - mean) / sqrt(variance + epsilon) scale + offset. rows: (n, height, width, channels)."""
    joined = pixels_joined(rows)
    parts = dict(zip(("scale", "offset", "mean", "variance"), (scale, offset, mean, variance), strict=True))
    if joined > 1:
        parts = {name: tf.tile(part, [joined]) for name, part in parts.items()}
    wide = _wide(rows, joined)
    normalized = tf.raw_ops.FusedBatchNormV3(x=wide, epsilon=epsilon, is_training=False, **parts)[0]
    return normalized if joined == 1 else tf.reshape(normalized, tf.shape(rows))


def moments_of(rows: Tensor) -> tuple[Tensor, Tensor]:
    """*graph*: return mean and variance of each channel in float32; the variance divides by n."""
    joined, channels = pixels_joined(rows), rows.shape[-1]
    empty, wide = zeros((0,), tf.float32), _wide(rows, joined)
    ones = constant((1.0,) * (joined * channels), tf.float32)
    _, mean, variance, _, kept, _ = tf.raw_ops.FusedBatchNormV3(
        x=wide, scale=ones, offset=zeros((joined * channels,), tf.float32), mean=empty, variance=empty, is_training=True
    )
    if tf.config.list_logical_devices("GPU"):
        return mean, variance * biased(rows)
    if joined == 1:
        return mean, kept
    means, variances = (tf.reshape(part, [joined, channels]) for part in (mean, kept))
    mean = tf.reduce_mean(means, 0)
    return mean, tf.reduce_mean(variances + tf.square(means - mean), 0)


def biased(rows: Tensor) -> Tensor:
    """*graph*: return (n - 1) / n, which makes of the operation's variance that of the batch, which Keras averages.

    On processors the operation gives the variance of the batch too, to its gradient; on GPUs what cuDNN keeps.
    """
    count = tf.cast(tf.size(rows) // rows.shape[-1], tf.float64)
    return tf.cast(tf.maximum(count - 1.0, 1.0) / count, tf.float32)


def pixels_joined(rows: Tensor) -> int:
    """Return how many pixels are taken together, 1 where that is not known to help."""
    channels, sides = rows.shape[-1], rows.shape[1:3].as_list()
    if None in sides or rows.dtype != tf.float32 or tf.config.list_logical_devices("GPU"):
        return 1
    joined = _numbers_of_a_vector() // math.gcd(channels, _numbers_of_a_vector())
    return joined if math.prod(sides) % joined == 0 else 1


def _wide(rows: Tensor, joined: int) -> Tensor:
    if joined == 1:
        return rows
    return tf.reshape(rows, [-1, math.prod(rows.shape[1:3].as_list()) // joined, 1, joined * rows.shape[-1]])


@cache
def _numbers_of_a_vector() -> int:
    return 16 if processor_has("avx512f") else 1  # on others it has not been measured
