"""Convolutions by a single pixel as products of matrices, which they are. Must not know ranks."""

from __future__ import annotations

from collections.abc import Callable
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
    change(changes, layer, "convolution_op", lambda inputs, kernel: _product(layer, inputs, kernel, tf.identity))


def end_with_bias(changes: ExitStack, layer: Layer) -> None:
    """Add the bias to the product, before it is maps again: TensorFlow makes one operation of both, and of a relu.

    Equal to the bit. layer: one whose pixels are multiplied already, and whose call is still Keras's.
    """
    activate = layer.activation
    at_once = activate in (keras.activations.linear, keras.activations.relu)  # any other may look at whole maps

    def end(product: Tensor) -> Tensor:
        biased = tf.nn.bias_add(product, tf.convert_to_tensor(layer.bias))
        return activate(biased) if at_once else biased

    def convolve(inputs: Tensor) -> Tensor:
        maps = _product(layer, inputs, layer.kernel, end)
        return maps if at_once or activate is None else activate(maps)

    change(changes, layer, "call", convolve)


def _product(layer: Layer, inputs: Tensor, kernel: Tensor, end: Callable[[Tensor], Tensor]) -> Tensor:
    """*graph*: return maps (N, H, W, filters). end: a function of the pixels, (N H W, filters)."""
    inputs = _strided(inputs, *layer.strides)
    pixels = tf.reshape(inputs, [-1, inputs.shape[-1]])
    product = tf.matmul(pixels, tf.reshape(kernel, kernel.shape[-2:]))
    return tf.reshape(end(product), _shape(inputs, layer.filters))


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


def _shape(maps: Tensor, channels: int) -> Tensor | list[int]:
    """*graph*: return the shape of maps with another number of channels, without an operation if it can be known."""
    sizes = maps.shape[1:3].as_list()
    return tf.concat([tf.shape(maps)[:3], [channels]], 0) if None in sizes else [-1, *sizes, channels]
