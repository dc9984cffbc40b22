"""Layers that all factories share: inputs, hidden layers with common options, and the classifier.

Every factory takes, besides the lecture's own arguments, those that the lectures' exercises vary: ``activation`` of the
hidden layers, ``l2``, ``batch_norm`` and dropout rates. At their defaults the network is the lecture's, layer by layer.

Imports Keras: only a process that builds a model may import this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras

from hpcnn.util.errors import bad_value
from hpcnn.util.types import Json


def flat_input(input_shape: tuple[int, ...]) -> list[keras.Layer]:
    """Return the first layers of a dense network: an input of any shape, flattened unless it is flat."""
    layers = [keras.Input(input_shape)]
    if len(input_shape) > 1:
        layers.append(keras.layers.Flatten())
    return layers


def image_input(input_shape: tuple[int, ...]) -> keras.KerasTensor:
    """Return the input of a convolutional network. Raises UsageError unless it is (rows, columns, channels)."""
    if len(input_shape) != 3:
        raise bad_value("input shape", input_shape, "(rows, columns, channels) for a convolutional network")
    return keras.Input(input_shape)


@dataclass(frozen=True)
class Hidden:
    """Options of hidden layers: ``activation``, and two that no lecture's network has by default.

    l2: the weight penalty of every kernel. batch_norm: batch normalization between a layer and its activation.
    """

    activation: str
    l2: float = 0.0
    batch_norm: bool = False

    def dense(self, nodes: int, **options: Json) -> list[keras.Layer]:
        """Return a dense layer, with batch normalization if asked for."""
        return self._layers(keras.layers.Dense, nodes, **options)

    def convolution(self, filters: int, kernel_size: int, **options: Json) -> list[keras.Layer]:
        """Return a convolution, with batch normalization if asked for."""
        return self._layers(keras.layers.Conv2D, filters, kernel_size, **options)

    def _layers(self, layer: type[keras.Layer], *sizes: int, **options: Json) -> list[keras.Layer]:
        if self.l2:
            options["kernel_regularizer"] = keras.regularizers.L2(self.l2)
        if not self.batch_norm:
            return [layer(*sizes, activation=self.activation, **options)]
        return [
            layer(*sizes, **options),
            keras.layers.BatchNormalization(),
            keras.layers.Activation(self.activation),
        ]


def dropout(rate: float, **options: Json) -> list[keras.Layer]:
    """Return a dropout layer; no layer for a rate of 0."""
    return [keras.layers.Dropout(rate, **options)] if rate else []


def classifier(classes: int, activation: str = "softmax", **options: str) -> keras.Layer:
    """Return the last layer: ``classes`` outputs in float32.

    Also under a mixed precision policy, as TensorFlow's guide "Mixed precision" recommends for outputs: half precision
    loses small probabilities, of which the loss takes the logarithm.
    """
    return keras.layers.Dense(classes, activation=activation, dtype="float32", **options)


def pixel_classifier(classes: int) -> keras.Layer:
    """Return the last layer of a network that gives each pixel a class: ``classes`` outputs a pixel in float32."""
    return keras.layers.Conv2D(classes, 1, activation="softmax", dtype="float32")
