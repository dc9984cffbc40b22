"""Global average pooling, whose gradient is a few operations where all sizes are known. Must not know ranks."""

from __future__ import annotations

from contextlib import ExitStack

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.train.rewrite.recorded import constant, with_gradient
from hpcnn.util.types import Layer, Tensor


def averages_maps(layer: Layer) -> bool:
    """Return whether a layer is Keras's own mean over the pixels of each map."""
    own = type(layer) is keras.layers.GlobalAveragePooling2D and not is_altered(layer)
    return own and layer.data_format == "channels_last"


def give_back_shares(changes: ExitStack, layer: Layer) -> None:
    """Give each pixel its share of the mean's gradient: TensorFlow's gradient first finds out how many there are.

    Equal to rounding, which half precision does once. A dozen operations less to trace, in each block of networks with
    squeeze and excite.
    """
    as_keras_does = layer.call

    def average(inputs: Tensor) -> Tensor:
        if inputs.shape.rank != 4 or None in inputs.shape[1:]:
            return as_keras_does(inputs)
        height, width, channels = inputs.shape[1:]

        def gradient(upstream: Tensor) -> list[Tensor]:
            each = tf.cast(upstream, tf.float32) * constant(1.0 / (height * width), tf.float32)
            share = tf.reshape(tf.cast(each, upstream.dtype), constant((-1, 1, 1, channels), tf.int32))
            return [tf.tile(share, constant((1, height, width, 1), tf.int32))]

        return with_gradient(lambda: as_keras_does(inputs), gradient, [inputs])

    change(changes, layer, "call", average)
