"""The first and the last layer that all factories share.

Imports Keras: only a process that builds a model may import this module.
"""

from __future__ import annotations

import keras

from hpcnn.errors import bad_value


def flat_input(input_shape: tuple[int, ...]) -> list[keras.Layer]:
    """Return the first layers of a dense network: an input of any shape, flattened unless it is flat."""
    layers = [keras.Input(input_shape)]
    if len(input_shape) > 1:
        layers.append(keras.layers.Flatten())
    return layers


def image_input(input_shape: tuple[int, ...]) -> keras.KerasTensor:
    """Return the input of a convolutional network. UsageError unless it is (rows, columns, channels)."""
    if len(input_shape) != 3:
        raise bad_value("input shape", input_shape, "(rows, columns, channels) for a convolutional network")
    return keras.Input(input_shape)


def classifier(classes: int, activation: str = "softmax", **options: str) -> keras.Layer:
    """Return the last layer: ``classes`` outputs in float32.

    In float32 also under a mixed precision policy, as TensorFlow's guide "Mixed precision" asks of a model's
    outputs: half precision loses the small probabilities that the loss takes the logarithm of.
    """
    return keras.layers.Dense(classes, activation=activation, dtype="float32", **options)
