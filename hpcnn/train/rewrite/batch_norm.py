"""Batch normalization in TensorFlow's one operation, forward and back, instead of Keras's many. Must not know ranks."""

from __future__ import annotations

from contextlib import ExitStack

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.util.types import Layer, Tensor

# What cuDNN takes at least; TensorFlow raises a smaller one in silence.
_LEAST_EPSILON = 1.001e-5
_DTYPES = ("float32", "bfloat16", "float16")


def can_be_fused(layer: Layer) -> bool:
    """Return whether a layer computes as Keras's own class, over the last axis, with moments of its own slice."""
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.built
        and not is_altered(layer)
        and not (layer.renorm or layer.synchronized or "_moments" in vars(layer))
        and layer.axis in (-1, layer.input_spec.ndim - 1)
        and layer.epsilon >= _LEAST_EPSILON
        and layer.compute_dtype in _DTYPES
        and layer.variable_dtype == "float32"
    )


def fuse_batch_norm(changes: ExitStack, layer: Layer) -> None:
    """Compute mean, variance and normalized values in one operation, and their gradients in another.

    Equal to Keras's to rounding. In half precision both compute in float32 and round the result once. TensorFlow's
    operation gives the variance for a moving average as n / (n - 1) times that of the batch; Keras keeps that of the
    batch, so it is multiplied by (n - 1) / n here.
    """
    as_keras_does = layer.call

    def normalize(inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        if mask is not None or inputs.dtype != layer.compute_dtype or inputs.shape.rank != layer.input_spec.ndim:
            return as_keras_does(inputs, training=training, mask=mask)
        rows = tf.reshape(inputs, [-1, 1, 1, inputs.shape[-1]])
        scale = tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones(rows.shape[-1:])
        offset = tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros(rows.shape[-1:])
        if training and layer.trainable:
            normalized = _by_batch(layer, rows, scale, offset)
        else:
            normalized = _by_moving_averages(layer, rows, scale, offset)
        return tf.reshape(normalized, tf.shape(inputs))

    change(changes, layer, "call", normalize)


def _by_batch(layer: Layer, rows: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """*graph*: normalize by the statistics of the batch, and move the averages."""
    empty = tf.zeros([0])
    normalized, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=rows, scale=scale, offset=offset, mean=empty, variance=empty, epsilon=layer.epsilon, is_training=True
    )
    count = tf.cast(tf.shape(rows)[0], tf.float64)
    biased = tf.cast(tf.maximum(count - 1.0, 1.0) / count, tf.float32)
    for average, of_batch in ((layer.moving_mean, mean), (layer.moving_variance, variance * biased)):
        average.assign(average * layer.momentum + of_batch * (1.0 - layer.momentum))
    return normalized


def _by_moving_averages(layer: Layer, rows: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """*graph*: normalize by the moving averages; of a frozen layer, its input alone has a gradient."""
    mean, variance = (tf.convert_to_tensor(v) for v in (layer.moving_mean, layer.moving_variance))

    def normalized(rows: Tensor) -> Tensor:
        return tf.raw_ops.FusedBatchNormV3(
            x=rows, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=layer.epsilon, is_training=False
        )[0]

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def frozen(rows: Tensor) -> Tensor:
        def gradient(upstream: Tensor) -> Tensor:
            return tf.cast(tf.cast(upstream, tf.float32) * tf.math.rsqrt(variance + layer.epsilon) * scale, rows.dtype)

        return normalized(rows), gradient

    return normalized(rows) if layer.trainable else frozen(rows)
