"""Batch normalization in TensorFlow's one operation, forward and back, instead of Keras's many. Must not know ranks.

The operation is over the last axis; values of another are transposed before and after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered, is_watched
from hpcnn.train.rewrite.normalize import biased, moments_of, normalize, pixels_joined
from hpcnn.train.rewrite.recorded import constant, with_gradient, zeros
from hpcnn.train.rewrite.synchronized import Moments, normalize_by_all
from hpcnn.util.types import Layer, Tensor

# What cuDNN takes at least; TensorFlow raises a smaller one in silence.
_LEAST_EPSILON = 1.001e-5
_DTYPES = ("float32", "bfloat16", "float16")


def can_be_fused(layer: Layer) -> bool:
    """Return whether a layer computes as Keras's own class, with moments of its own slice or those of hpcnn."""
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.built
        and not is_altered(layer)
        and not (layer.renorm or layer.synchronized)
        and ("_moments" not in vars(layer) or isinstance(layer._moments, Moments))
        and layer.epsilon >= _LEAST_EPSILON
        and layer.compute_dtype in _DTYPES
        and layer.variable_dtype == "float32"
    )


def has_bias_to_leave_out(layer: Layer, normalized: Layer) -> bool:
    """Return whether a layer is Keras's own convolution with a bias for each channel of what the other normalizes."""
    return (
        type(layer) is keras.layers.Conv2D
        and not is_watched(layer)
        and layer.built
        and layer.use_bias
        and layer.activation is keras.activations.linear
        and layer.data_format == "channels_last"
        and normalized.axis in (-1, normalized.input_spec.ndim - 1)
    )


def fuse_batch_norm(changes: ExitStack, layer: Layer, biased: Layer | None = None) -> None:
    """Compute mean, variance and normalized values in one operation, and their gradients in another.

    Equal to Keras's to rounding. In half precision both compute in float32 and round the result once.

    biased: the convolution whose output the layer alone takes. Its bias moves values and their mean alike, so that
    normalized values and gradients are as if it were 0: in training it is added to the mean that is averaged, and to
    nothing else. Its own gradient is 0; Keras's is what rounding leaves of 0.
    """
    as_keras_does = layer.call

    def call(inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        fits = mask is None and inputs.dtype == layer.compute_dtype and inputs.shape.rank == layer.input_spec.ndim
        by_batch = fits and training and layer.trainable
        if biased is not None and not by_batch:
            inputs = inputs + tf.cast(biased.bias, inputs.dtype)
        if not fits:
            return as_keras_does(inputs, training=training, mask=mask)
        order = _with_channels_last(layer, inputs.shape.rank)
        if order is not None:
            inputs = tf.transpose(inputs, order)
        images = inputs.shape.rank == 4
        rows = inputs if images else tf.reshape(inputs, [-1, 1, 1, inputs.shape[-1]])
        scale = tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones(rows.shape[-1:])
        offset = tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros(rows.shape[-1:])
        if by_batch:
            bias = None if biased is None else tf.cast(biased.bias, tf.float32)
            normalized = _by_batch(layer, rows, scale, offset, bias)
        else:
            normalized = _by_moving_averages(layer, rows, scale, offset)
        normalized = normalized if images else tf.reshape(normalized, tf.shape(inputs))
        return normalized if order is None else tf.transpose(normalized, _inverse(order))

    change(changes, layer, "call", call)
    if biased is not None:
        change(changes, biased, "call", lambda inputs: biased.convolution_op(inputs, biased.kernel))


def _with_channels_last(layer: Layer, rank: int) -> list[int] | None:
    """Return the order of axes in which the channels are last, None where they are."""
    channels = layer.axis % rank
    return None if channels == rank - 1 else [*(axis for axis in range(rank) if axis != channels), channels]


def _inverse(order: Sequence[int]) -> list[int]:
    return [order.index(axis) for axis in range(len(order))]


def _by_batch(layer: Layer, rows: Tensor, scale: Tensor, offset: Tensor, bias: Tensor | None) -> Tensor:
    """*graph*: normalize by the statistics of the batch, and move the averages."""
    of_all = vars(layer).get("_moments")
    if bias is not None and (of_all is not None or pixels_joined(rows) > 1):
        offset += bias * zeros(tuple(bias.shape), bias.dtype)  # so that the bias has a gradient: 0
    if of_all is not None:
        result, mean, variance = normalize_by_all(tf.cast(rows, tf.float32), scale, offset, layer.epsilon, of_all)
        result = tf.cast(result, rows.dtype)
    elif pixels_joined(rows) > 1:
        result, mean, variance = _in_two_passes(rows, scale, offset, layer.epsilon)
    else:
        result, mean, variance = _at_once(rows, scale, offset, layer.epsilon, bias)
    mean = mean if bias is None else mean + bias
    for average, value in ((layer.moving_mean.value, mean), (layer.moving_variance.value, variance)):
        _move(average, value, 1.0 - layer.momentum)
    return result


def _at_once(
    rows: Tensor, scale: Tensor, offset: Tensor, epsilon: float, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """*graph*: return normalized rows, mean and variance."""
    empty = zeros((0,), tf.float32)
    kept: list[Tensor] = []

    def normalized() -> Tensor:
        result, *kept[:] = tf.raw_ops.FusedBatchNormV3(
            x=rows, scale=scale, offset=offset, mean=empty, variance=empty, epsilon=epsilon, is_training=True
        )
        return result

    def gradient(upstream: Tensor) -> list[Tensor]:
        of_bias = [] if bias is None else [zeros(tuple(bias.shape), bias.dtype)]
        return [*_gradients(upstream, rows, scale, epsilon, kept[2:]), *of_bias]

    result = with_gradient(normalized, gradient, [rows, scale, offset, *([] if bias is None else [bias])])
    mean, variance, _, by_n, _ = kept
    return result, mean, variance * biased(rows) if tf.config.list_logical_devices("GPU") else by_n


def _in_two_passes(rows: Tensor, scale: Tensor, offset: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """*graph*: return normalized rows, mean and variance: first find the moments, then normalize."""
    kept: list[Tensor] = []

    def normalized() -> Tensor:
        kept[:] = mean, variance = moments_of(rows)
        return normalize(rows, scale, offset, mean, variance, epsilon)

    def gradient(upstream: Tensor) -> list[Tensor]:
        return _gradients(upstream, rows, scale, epsilon, [*kept, zeros((0,), tf.float32)])

    result = with_gradient(normalized, gradient, [rows, scale, offset])
    return result, kept[0], kept[1]


def _gradients(upstream: Tensor, rows: Tensor, scale: Tensor, epsilon: float, kept: Sequence[Tensor]) -> list[Tensor]:
    """*graph*: return the gradients of rows, scale and offset. kept: what the operation, or one like it, keeps."""
    reserved = dict(zip(("reserve_space_1", "reserve_space_2", "reserve_space_3"), kept, strict=True))
    found = tf.raw_ops.FusedBatchNormGradV3(
        y_backprop=upstream, x=rows, scale=scale, epsilon=epsilon, is_training=True, **reserved
    )
    return list(found[:3])


def _move(average: Tensor, value: Tensor, share: float) -> None:
    """*graph*: let a variable go so far towards a value."""
    if hasattr(average, "values"):  # of tf.distribute, with a copy on each device
        average.assign_sub((average - value) * share)
    else:
        alpha = constant(share, tf.float32)
        tf.raw_ops.ResourceApplyGradientDescent(var=average.handle, alpha=alpha, delta=average - value)


def _by_moving_averages(layer: Layer, rows: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """*graph*: normalize by the moving averages; of a frozen layer, its input alone has a gradient."""
    mean, variance = (tf.convert_to_tensor(v) for v in (layer.moving_mean, layer.moving_variance))

    def normalized() -> Tensor:
        return normalize(rows, scale, offset, mean, variance, layer.epsilon)

    def gradient(upstream: Tensor) -> list[Tensor]:
        of_rows = tf.cast(upstream, tf.float32) * tf.math.rsqrt(variance + layer.epsilon) * scale
        return [tf.cast(of_rows, rows.dtype)]

    return normalized() if layer.trainable else with_gradient(normalized, gradient, [rows])
