"""Convolutions by a single pixel as products of matrices, which they are. Must not know ranks."""

from __future__ import annotations

from contextlib import ExitStack

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.train.rewrite.recorded import constant, with_gradient
from hpcnn.util.types import Layer, Tensor


def is_pointwise(layer: Layer) -> bool:
    """Return whether a layer is Keras's own convolution by 1 x 1 pixels of all channels at once, in float32 on CPUs."""
    return (
        type(layer) is keras.layers.Conv2D
        and not is_altered(layer)
        and "convolution_op" not in vars(layer)
        and layer.built
        and layer.kernel_size == (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and layer.compute_dtype == "float32"
        and not tf.config.list_logical_devices("GPU")
    )


def multiply_pixels(changes: ExitStack, layer: Layer) -> None:
    """Multiply the channels of all pixels with the kernel, forward and back.

    Equal to rounding. TensorFlow's convolutions have no special case for one pixel in their gradients.
    """
    rows, columns = layer.strides

    def convolve(inputs: Tensor, kernel: Tensor) -> Tensor:
        if (rows, columns) != (1, 1):
            inputs = inputs[:, ::rows, ::columns]
        channels, given = inputs.shape[-1], inputs
        matrix = tf.convert_to_tensor(kernel)
        pixels = tf.reshape(inputs, constant((-1, channels), tf.int32))
        flat = tf.reshape(matrix, constant((channels, layer.filters), tf.int32))

        def gradient(upstream: Tensor) -> list[Tensor]:
            known = tf.reshape(upstream, constant((-1, layer.filters), tf.int32))
            of_kernel = tf.matmul(pixels, known, transpose_a=True)
            return [
                tf.reshape(tf.matmul(known, flat, transpose_b=True), _shape(given, channels)),
                tf.reshape(of_kernel, constant((1, 1, channels, layer.filters), tf.int32)),
            ]

        return with_gradient(
            lambda: tf.reshape(tf.matmul(pixels, flat), _shape(given, layer.filters)), gradient, [given, matrix]
        )

    change(changes, layer, "convolution_op", convolve)


def _shape(maps: Tensor, channels: int) -> Tensor:
    """*graph*: return the shape of maps with another number of channels, a constant if it can be known."""
    sizes = maps.shape[1:3].as_list()
    if None in sizes:
        return tf.concat([tf.shape(maps)[:3], [channels]], 0)
    return constant((-1, *sizes, channels), tf.int32)
