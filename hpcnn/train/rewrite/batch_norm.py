"""Batch normalization in TensorFlow's one operation, forward and back, instead of Keras's many. Must not know ranks."""

from __future__ import annotations

from contextlib import ExitStack

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered, is_watched
from hpcnn.train.rewrite.recorded import constant, with_gradient, zeros
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


def has_bias_to_leave_out(layer: Layer) -> bool:
    """Return whether a layer is Keras's own convolution that ends with a bias for each of the last axis's channels."""
    return (
        type(layer) is keras.layers.Conv2D
        and not is_watched(layer)
        and layer.built
        and layer.use_bias
        and layer.activation is keras.activations.linear
        and layer.data_format == "channels_last"
    )


def fuse_batch_norm(changes: ExitStack, layer: Layer, biased: Layer | None = None) -> None:
    """Compute mean, variance and normalized values in one operation, and their gradients in another.

    Equal to Keras's to rounding. In half precision both compute in float32 and round the result once.

    biased: the convolution whose output the layer alone takes. Its bias moves values and their mean alike, so that
    normalized values and gradients are as if it were 0: in training it is added to the mean that is averaged, and to
    nothing else. Its own gradient is 0; Keras's is what rounding leaves of 0.
    """
    as_keras_does = layer.call

    def normalize(inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        fits = mask is None and inputs.dtype == layer.compute_dtype and inputs.shape.rank == layer.input_spec.ndim
        by_batch = fits and training and layer.trainable
        if biased is not None and not by_batch:
            inputs = inputs + tf.cast(biased.bias, inputs.dtype)
        if not fits:
            return as_keras_does(inputs, training=training, mask=mask)
        images = inputs.shape.rank == 4
        rows = inputs if images else tf.reshape(inputs, [-1, 1, 1, inputs.shape[-1]])
        scale = tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones(rows.shape[-1:])
        offset = tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros(rows.shape[-1:])
        if by_batch:
            bias = None if biased is None else tf.cast(biased.bias, tf.float32)
            normalized = _by_batch(layer, rows, scale, offset, bias)
        else:
            normalized = _by_moving_averages(layer, rows, scale, offset)
        return normalized if images else tf.reshape(normalized, tf.shape(inputs))

    change(changes, layer, "call", normalize)
    if biased is not None:
        change(changes, biased, "call", lambda inputs: biased.convolution_op(inputs, biased.kernel))


def _by_batch(layer: Layer, rows: Tensor, scale: Tensor, offset: Tensor, bias: Tensor | None) -> Tensor:
    """*graph*: normalize by the statistics of the batch, and move the averages."""
    empty = zeros((0,), tf.float32)
    kept: list[Tensor] = []

    def normalized() -> Tensor:
        result, *kept[:] = tf.raw_ops.FusedBatchNormV3(
            x=rows, scale=scale, offset=offset, mean=empty, variance=empty, epsilon=layer.epsilon, is_training=True
        )
        return result

    def gradient(upstream: Tensor) -> list[Tensor]:
        reserved = dict(zip(("reserve_space_1", "reserve_space_2", "reserve_space_3"), kept[2:], strict=True))
        found = tf.raw_ops.FusedBatchNormGradV3(
            y_backprop=upstream, x=rows, scale=scale, epsilon=layer.epsilon, is_training=True, **reserved
        )
        return [*found[:3], *([] if bias is None else [zeros(tuple(bias.shape), bias.dtype)])]

    result = with_gradient(normalized, gradient, [rows, scale, offset, *([] if bias is None else [bias])])
    mean, variance, _, by_n, _ = kept
    mean = mean if bias is None else mean + bias
    of_batch = variance * _biased(rows) if tf.config.list_logical_devices("GPU") else by_n
    for average, value in ((layer.moving_mean.value, mean), (layer.moving_variance.value, of_batch)):
        _move(average, value, 1.0 - layer.momentum)
    return result


def _move(average: Tensor, value: Tensor, share: float) -> None:
    """*graph*: let a variable go so far towards a value."""
    if hasattr(average, "values"):  # of tf.distribute, with a copy on each device
        average.assign_sub((average - value) * share)
    else:
        alpha = constant(share, tf.float32)
        tf.raw_ops.ResourceApplyGradientDescent(var=average.handle, alpha=alpha, delta=average - value)


def _biased(rows: Tensor) -> Tensor:
    """*graph*: return (n - 1) / n, which makes of the operation's variance that of the batch, which Keras averages.

    On processors the operation gives the variance of the batch too, to its gradient; on GPUs what cuDNN keeps.
    """
    count = tf.cast(tf.size(rows) // rows.shape[-1], tf.float64)
    return tf.cast(tf.maximum(count - 1.0, 1.0) / count, tf.float32)


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
