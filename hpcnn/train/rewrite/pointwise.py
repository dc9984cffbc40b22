"""Convolutions by a single pixel as products of matrices, which they are. Must not know ranks."""

from __future__ import annotations

from contextlib import ExitStack

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered
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
        pixels = tf.reshape(inputs, [-1, inputs.shape[-1]])
        product = tf.matmul(pixels, tf.reshape(kernel, kernel.shape[-2:]))
        return tf.reshape(product, _shape(inputs, layer.filters))

    change(changes, layer, "convolution_op", convolve)


def _shape(maps: Tensor, channels: int) -> Tensor | list[int]:
    """*graph*: return the shape of maps with another number of channels, without an operation if it can be known."""
    sizes = maps.shape[1:3].as_list()
    return tf.concat([tf.shape(maps)[:3], [channels]], 0) if None in sizes else [-1, *sizes, channels]
