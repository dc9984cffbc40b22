"""Batch normalization by the moments of all replicas, in passes of TensorFlow's one operation. Must not know ranks."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import tensorflow as tf

from hpcnn.train.rewrite.normalize import moments_of, normalize
from hpcnn.train.rewrite.recorded import with_gradient, zeros
from hpcnn.util.types import Tensor


@runtime_checkable
class Moments(Protocol):
    """How the moments of the replicas' slices become those of the whole batch (``train/sync_batch_norm.py``)."""

    def combine(self, mean: Tensor, within: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """*graph*: return mean, variance and number of rows of all replicas, from this one's in double precision.

        within: the sum of its squares about its mean.
        """

    def add(self, tensor: Tensor) -> Tensor:
        """*graph*: sum a tensor over the replicas in back-propagation."""


def normalize_by_all(
    rows: Tensor, scale: Tensor, offset: Tensor, epsilon: float, by: Moments
) -> tuple[Tensor, Tensor, Tensor]:
    """*graph*: return normalized rows, and the mean and the variance of all replicas' rows.

    rows: (n, height, width, channels) in float32. With y = scale x' + offset, x' = (x - mean) r and
    r = 1 / sqrt(variance + epsilon), the gradient of x is scale r (dy - mean(dy) - x' mean(dy x')), with means over all
    replicas' rows. The operation's gradient for given moments has the first term and this replica's sums of dy and
    dy x'; the rest is x' times a scale, plus an offset.
    """
    kept: list[Tensor] = []

    def normalized() -> Tensor:
        count = tf.cast(tf.size(rows) // rows.shape[-1], tf.float64)
        mean, variance = (tf.cast(part, tf.float64) for part in moments_of(rows))
        *moments, total = by.combine(mean, variance * count, count)
        kept[:] = [*(tf.cast(part, tf.float32) for part in moments), total]
        return normalize(rows, scale, offset, kept[0], kept[1], epsilon)

    def gradient(upstream: Tensor) -> list[Tensor]:
        mean, variance, total = kept
        of_rows, of_scale, of_offset, *_ = tf.raw_ops.FusedBatchNormGradV3(
            **{"y_backprop": upstream, "x": rows, "scale": scale, "epsilon": epsilon, "is_training": False},
            **{"reserve_space_1": mean, "reserve_space_2": variance, "reserve_space_3": zeros((0,), tf.float32)},
        )
        means = by.add(tf.stack([of_scale, of_offset])) / tf.cast(total, tf.float32)
        taken = -scale * tf.math.rsqrt(variance + epsilon) * means
        return [of_rows + normalize(rows, taken[0], taken[1], mean, variance, epsilon), of_scale, of_offset]

    result = with_gradient(normalized, gradient, [rows, scale, offset])
    return result, kept[0], kept[1]
