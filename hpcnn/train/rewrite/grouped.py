"""Convolutions with a group for each channel as the depthwise convolutions that they are. Must not know ranks."""

from __future__ import annotations

from contextlib import ExitStack

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.train.rewrite.recorded import constant
from hpcnn.util.types import Layer, Tensor


def is_depthwise(layer: Layer) -> bool:
    """Return whether a layer is Keras's own convolution of images with a group for each channel, on processors."""
    return (
        type(layer) is keras.layers.Conv2D
        and not is_altered(layer)
        and "convolution_op" not in vars(layer)
        and layer.built
        and layer.groups > 1
        and layer.groups == layer.filters
        and int(layer.kernel.shape[-2]) == 1
        and layer.strides[0] == layer.strides[1]
        and (layer.strides == (1, 1) or tuple(layer.dilation_rate) == (1, 1))
        and layer.data_format == "channels_last"
        and layer.compute_dtype in ("float32", "bfloat16")
        and not tf.config.list_logical_devices("GPU")
    )


def convolve_each_channel(changes: ExitStack, layer: Layer) -> None:
    """Convolve by TensorFlow's operation for that, in float32. Equal to rounding.

    TensorFlow has no convolution by groups on processors, so Keras compiles each of them by XLA: 7 x 7 on 8 images of
    16 x 16 x 96 took 124 instead of 5 ms, forward and back. ConvNeXt has one a block.
    """

    def convolve(inputs: Tensor, kernel: Tensor) -> Tensor:
        rows, columns, _, channels = kernel.shape
        maps, kernel = (tf.cast(tf.convert_to_tensor(value), tf.float32) for value in (inputs, kernel))
        depthwise = tf.reshape(kernel, constant((rows, columns, channels, 1), tf.int32))
        strides, dilations = (1, *layer.strides, 1), tuple(layer.dilation_rate)
        convolved = tf.nn.depthwise_conv2d(maps, depthwise, strides, layer.padding.upper(), dilations=dilations)
        return tf.cast(convolved, inputs.dtype)

    change(changes, layer, "convolution_op", convolve)
