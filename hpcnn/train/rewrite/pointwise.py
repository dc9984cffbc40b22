"""Convolutions by a single pixel as products of matrices, which they are. Must not know ranks."""

from __future__ import annotations

import os
from contextlib import ExitStack

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.train.rewrite.recorded import constant, with_gradient
from hpcnn.util.host import processor_has
from hpcnn.util.tf_import import ONEDNN
from hpcnn.util.types import Layer, Tensor


def is_pointwise(layer: Layer) -> bool:
    """Return whether a layer is Keras's own convolution by 1 x 1 pixels of all channels at once, on processors.

    In float32, or in bfloat16 where oneDNN multiplies that.
    """
    return (
        type(layer) is keras.layers.Conv2D
        and not is_altered(layer)
        and "convolution_op" not in vars(layer)
        and layer.built
        and layer.kernel_size == (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and multiplies_pixels(layer)
    )


def multiplies_pixels(layer: Layer) -> bool:
    """Return whether products are fast in the type that a layer computes in."""
    fast = layer.compute_dtype == "float32" or (layer.compute_dtype == "bfloat16" and _onednn_has_bfloat16())
    return fast and not tf.config.list_logical_devices("GPU")


def multiply_pixels(changes: ExitStack, layer: Layer) -> None:
    """Multiply the channels of all pixels with the kernel, forward and back.

    Equal to rounding. TensorFlow's convolutions have no special case for one pixel in their gradients.
    """
    change(changes, layer, "convolution_op", lambda inputs, kernel: product(inputs, kernel, layer.strides))


def end_with_bias(changes: ExitStack, layer: Layer) -> None:
    """Add the bias so that it costs least. layer: one whose pixels are multiplied already, its call still Keras's.

    In float32 to the product, before it is maps again: TensorFlow makes one operation of both; equal to the bit. In
    bfloat16, where that gains nothing, the bias's gradient is summed in float32 and rounded once: TensorFlow's
    operation for it adds in bfloat16, and of 65,536 values from 0 to 1 it finds 1.6 % of the sum.
    """
    activate = layer.activation or keras.activations.linear

    def convolve(inputs: Tensor) -> Tensor:
        bias = tf.convert_to_tensor(layer.bias)
        if layer.compute_dtype == "float32":
            return activate(product(inputs, layer.kernel, layer.strides, bias))
        return activate(add_bias(layer.convolution_op(inputs, layer.kernel), bias))

    change(changes, layer, "call", convolve)


def product(maps: Tensor, kernel: Tensor, strides: tuple[int, int] = (1, 1), bias: Tensor | None = None) -> Tensor:
    """*graph*: return the maps (N, H, W, filters) of a convolution by single pixels.

    kernel: (1, 1, channels, filters). bias: (filters,), in float32 alone.
    """
    maps, matrix = _strided(maps, *strides), tf.convert_to_tensor(kernel)
    channels, filters = matrix.shape[-2:]
    pixels = tf.reshape(maps, constant((-1, channels), tf.int32))
    flat = tf.reshape(matrix, constant((channels, filters), tf.int32))

    def multiply() -> Tensor:
        multiplied = tf.matmul(pixels, flat)
        biased = multiplied if bias is None else tf.nn.bias_add(multiplied, bias)
        return tf.reshape(biased, _shape(maps, filters))

    def gradient(upstream: Tensor) -> list[Tensor]:
        known = tf.reshape(upstream, constant((-1, filters), tf.int32))
        of_kernel = tf.matmul(pixels, known, transpose_a=True)
        return [
            tf.reshape(tf.matmul(known, flat, transpose_b=True), _shape(maps, channels)),
            tf.reshape(of_kernel, constant((1, 1, channels, filters), tf.int32)),
            *([] if bias is None else [tf.raw_ops.BiasAddGrad(out_backprop=upstream)]),
        ]

    return with_gradient(multiply, gradient, [maps, matrix, *([] if bias is None else [bias])])


def add_bias(maps: Tensor, bias: Tensor) -> Tensor:
    """*graph*: add a bias to (N, H, W, filters); in bfloat16 its gradient is summed in float32 and rounded once."""
    bias = tf.convert_to_tensor(bias)
    if maps.dtype == tf.float32:
        return tf.nn.bias_add(maps, bias)
    return with_gradient(
        lambda: tf.nn.bias_add(maps, bias),
        lambda upstream: [upstream, tf.reduce_sum(upstream, constant((0, 1, 2), tf.int32))],
        [maps, bias],
    )


def _onednn_has_bfloat16() -> bool:
    return processor_has("avx512bw") and os.environ.get(ONEDNN) != "0"


def _strided(maps: Tensor, rows: int, columns: int) -> Tensor:
    """*graph*: return every so manieth row and column; TensorFlow's slices with strides copy value by value.

    Where the strides divide the map, blocks of rows x columns pixels have the wanted pixel first, and a slice without
    strides takes it; any other map is pooled over single pixels.
    """
    height, width, channels = maps.shape[1:]
    if (rows, columns) == (1, 1):
        return maps
    if None in (height, width) or height % rows or width % columns:
        return tf.nn.avg_pool2d(maps, 1, (rows, columns), "VALID")
    blocks = tf.reshape(maps, [-1, rows, width // columns, columns * channels])
    first = tf.slice(blocks, [0, 0, 0, 0], [-1, 1, -1, channels])
    return tf.reshape(first, [-1, height // rows, width // columns, channels])


def _shape(maps: Tensor, channels: int) -> Tensor:
    """*graph*: return the shape of maps with another number of channels, a constant if it can be known."""
    sizes = maps.shape[1:3].as_list()
    if None in sizes:
        return tf.concat([tf.shape(maps)[:3], [channels]], 0)
    return constant((-1, *sizes, channels), tf.int32)
