"""The activations of MobileNetV3 and EfficientNet with gradients in fewer passes over the maps. Must not know ranks."""

from __future__ import annotations

from contextlib import ExitStack

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.train.rewrite.recorded import constant, with_gradient
from hpcnn.util.types import Layer, Tensor


def is_silu(layer: Layer) -> bool:
    """Return whether a layer only activates, by ``silu`` or ``hard_silu`` (``swish``, ``hard_swish``), in float32."""
    return (
        type(layer) is keras.layers.Activation
        and layer.activation in (keras.activations.silu, keras.activations.hard_silu)
        and layer.compute_dtype == "float32"
        and not is_altered(layer)
    )


def activate_in_fewer_passes(changes: ExitStack, layer: Layer) -> None:
    """Keep the factor of each value for the gradient, which Keras and TensorFlow compute again or piece by piece.

    Equal to rounding. Three and four passes over the maps instead of seven and five.
    """
    activate = _silu if layer.activation is keras.activations.silu else _hard_silu
    change(changes, layer, "call", lambda inputs: activate(tf.convert_to_tensor(inputs)))


def _silu(values: Tensor) -> Tensor:
    """*graph*: y = x s with s = 1 / (1 + exp(-x)); dy/dx = s + x s (1 - s)."""
    share = tf.sigmoid(values)

    def gradient(upstream: Tensor) -> list[Tensor]:
        return [upstream * (share + tf.raw_ops.SigmoidGrad(y=share, dy=values))]

    return with_gradient(lambda: values * share, gradient, [values])


def _hard_silu(values: Tensor) -> Tensor:
    """*graph*: y = x r / 6 with r = min(max(x + 3, 0), 6); dy/dx = (r + x) / 6 if 0 < r < 6, else r / 6."""
    share, sixth = tf.nn.relu6(values + constant(3.0, values.dtype)), constant(1.0 / 6.0, values.dtype)

    def gradient(upstream: Tensor) -> list[Tensor]:
        return [upstream * ((share + tf.raw_ops.Relu6Grad(gradients=values, features=share)) * sixth)]

    return with_gradient(lambda: values * (share * sixth), gradient, [values])
