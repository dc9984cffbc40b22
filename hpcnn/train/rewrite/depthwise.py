"""Depthwise and separable convolutions without the slow operations of processors for them. Must not know ranks.

oneDNN's depthwise gradients are slow in bfloat16 (in a step of MobileNetV3Small they took 127 of 158 ms), and the
kernel's is slow for large kernels on small maps also in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.train.rewrite.pointwise import add_bias, multiplies_pixels, product
from hpcnn.train.rewrite.recorded import with_gradient
from hpcnn.util.types import Layer, Tensor

# Kernels of as many values, on maps of at most as many pixels, get their gradient from products of pixels: 5 x 5 on
# 16 x 4 x 4 x 480 in 0.6 instead of 4.0 ms, on 16 x 7 x 7 x 960 in 5.1 instead of 11.6; on 8 x 8 the next is faster.
_KERNEL, _PIXELS = 25, 49
# oneDNN has fast code for the gradient of a kernel of so many columns, on maps that are no smaller than it. For others
# TensorFlow's own takes a tenth to two thirds of the time: 5 x 5 on 16 x 8 x 8 x 240 1.6 instead of 2.8 ms, 3 x 3 on
# 16 x 2 x 2 x 1152 0.3 instead of 3.5.
_COLUMNS = 3


def has_slow_gradient(layer: Layer) -> bool:
    """Return whether a layer is Keras's own depthwise convolution of images in a form that is slow on processors."""
    return (
        type(layer) is keras.layers.DepthwiseConv2D
        and _is_rewritable(layer)
        and (layer.compute_dtype == "bfloat16" or _is_slow_everywhere(layer))
    )


def is_separable(layer: Layer) -> bool:
    """Return whether a layer is Keras's own separable convolution of images, on processors."""
    return type(layer) is keras.layers.SeparableConv2D and _is_rewritable(layer) and multiplies_pixels(layer)


def convolve_depthwise(changes: ExitStack, layer: Layer) -> None:
    """Compute in float32 and round once; the kernel's gradient by products of pixels on small maps.

    Equal to rounding: oneDNN also sums the products of bfloat16 in float32.
    """

    def convolve(inputs: Tensor) -> Tensor:
        return _ended(layer, _depthwise(layer, inputs, layer.kernel))

    change(changes, layer, "call", convolve)


def convolve_separable(changes: ExitStack, layer: Layer) -> None:
    """Convolve depthwise as above, and multiply the pixels of what comes out. Equal to rounding."""

    def convolve(inputs: Tensor) -> Tensor:
        return _ended(layer, product(_depthwise(layer, inputs, layer.depthwise_kernel), layer.pointwise_kernel))

    change(changes, layer, "call", convolve)


def _is_rewritable(layer: Layer) -> bool:
    return (
        not is_altered(layer)
        and layer.built
        and layer.data_format == "channels_last"
        and layer.compute_dtype in ("float32", "bfloat16")
        and not tf.config.list_logical_devices("GPU")
    )


def _is_slow_everywhere(layer: Layer) -> bool:
    """Return whether every call of a layer in a graph has a kernel and maps for which oneDNN's gradient is slow."""
    nodes = layer._inbound_nodes
    shapes = [node.input_tensors[0].shape for node in nodes]
    return bool(shapes) and all(_by_pixels(layer, shape) or _is_slow(layer, shape) for shape in shapes)


def _is_slow(layer: Layer, shape: Any) -> bool:
    sides, kernel = shape[1:3], layer.kernel_size
    return (
        tuple(layer.dilation_rate) == (1, 1)
        and layer.strides[0] == layer.strides[1]
        and None not in sides
        and (kernel[1] > _COLUMNS or sides[0] < kernel[0] or sides[1] < kernel[1])
    )


def _by_pixels(layer: Layer, shape: Any) -> bool:
    height, width = shape[1:3]
    return (
        layer.depth_multiplier == 1
        and tuple(layer.dilation_rate) == (1, 1)
        and np.prod(layer.kernel_size) >= _KERNEL
        and None not in (height, width)
        and height * width <= _PIXELS
    )


def _depthwise(layer: Layer, inputs: Tensor, kernel: Tensor) -> Tensor:
    """*graph*: return the maps without bias, in the type of the inputs."""
    maps, kernel = (tf.cast(tf.convert_to_tensor(value), tf.float32) for value in (inputs, kernel))
    if _by_pixels(layer, inputs.shape):
        convolved = _with_gradient_of_kernel(_gradient_by_pixels, layer, maps, kernel)
    elif _is_slow(layer, inputs.shape):
        convolved = _with_gradient_of_kernel(_gradient_by_tensorflow, layer, maps, kernel)
    else:
        convolved = _convolve(layer, maps, kernel)
    return tf.cast(convolved, inputs.dtype)


def _convolve(layer: Layer, maps: Tensor, kernel: Tensor) -> Tensor:
    return keras.ops.depthwise_conv(
        maps, kernel, strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate
    )


def _with_gradient_of_kernel(
    of_kernel: Callable[[Layer, Tensor, Tensor], Tensor], layer: Layer, maps: Tensor, kernel: Tensor
) -> Tensor:
    """*graph*: convolve; of_kernel: returns the kernel's gradient from layer, maps and the gradient of the result."""
    strides, padding = [1, *layer.strides, 1], layer.padding.upper()

    def gradient(upstream: Tensor) -> list[Tensor]:
        of_maps = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=tf.shape(maps), filter=kernel, out_backprop=upstream, strides=strides, padding=padding
        )
        return [of_maps, of_kernel(layer, maps, upstream)]

    def convolve() -> Tensor:
        return tf.raw_ops.DepthwiseConv2dNative(input=maps, filter=kernel, strides=strides, padding=padding)

    return with_gradient(convolve, gradient, [maps, kernel])


def _gradient_by_tensorflow(layer: Layer, maps: Tensor, upstream: Tensor) -> Tensor:
    """*graph*: return the gradient of the kernel; TensorFlow leaves paddings that are given in numbers to itself."""
    paddings = [0, 0]
    for size, stride, reach in zip(maps.shape[1:3], layer.strides, layer.kernel_size, strict=True):
        padded = _padded(layer, size, -(-size // stride), stride, reach)
        paddings += [padded // 2, padded - padded // 2]
    return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
        **{"input": maps, "filter_sizes": [*layer.kernel_size, maps.shape[-1], layer.depth_multiplier]},
        **{"out_backprop": upstream, "strides": [1, *layer.strides, 1]},
        **{"padding": "EXPLICIT", "explicit_paddings": [*paddings, 0, 0]},
    )


def _padded(layer: Layer, size: int, output: int, stride: int, reach: int) -> int:
    """Return the zeros before and after a row or column of the maps, together."""
    return max((output - 1) * stride + reach - size, 0) if layer.padding == "same" else 0


def _gradient_by_pixels(layer: Layer, maps: Tensor, upstream: Tensor) -> Tensor:
    """*graph*: return the gradient of the kernel, (rows, columns, channels, 1).

    For each channel, the products of all pixels of the maps with all of the gradient, summed over the images, are one
    product of matrices; each value of the kernel sums those whose pixels are as far apart as it reaches.
    """
    channels = maps.shape[-1]
    reached = _reached(maps.shape[1:3].as_list(), upstream.shape[1:3].as_list(), layer)
    before = tf.transpose(tf.reshape(maps, [-1, reached.shape[0], channels]), [2, 1, 0])
    after = tf.transpose(tf.reshape(upstream, [-1, reached.shape[1], channels]), [2, 0, 1])
    products = tf.reshape(tf.matmul(before, after), [channels, reached.shape[0] * reached.shape[1]])
    table = tf.constant(reached.reshape(products.shape[1], -1))
    summed = tf.matmul(table, products, transpose_a=True, transpose_b=True)
    return tf.reshape(summed, [*layer.kernel_size, channels, 1])


def _reached(sizes: list[int], outputs: list[int], layer: Layer) -> Any:
    """Return which pixel of the input a value of the kernel takes to which of the output, as 1 or 0.

    Of shape (pixels of the input, pixels of the output, values of the kernel). sizes, outputs: rows and columns.
    """
    axes = []
    for size, output, stride, reach in zip(sizes, outputs, layer.strides, layer.kernel_size, strict=True):
        padded = _padded(layer, size, output, stride, reach)
        taken = (
            np.arange(output)[:, None] * stride + np.arange(reach) - padded // 2
        )  # by output and value of the kernel
        axes.append(np.arange(size)[:, None, None] == taken)
    rows, columns = axes
    both = np.einsum("yoi,xpj->yxopij", rows, columns)
    return both.reshape(np.prod(sizes), np.prod(outputs), -1).astype(np.float32)


def _ended(layer: Layer, maps: Tensor) -> Tensor:
    """*graph*: add the layer's bias, and activate."""
    biased = add_bias(maps, layer.bias) if layer.use_bias else maps
    return biased if layer.activation is None else layer.activation(biased)
