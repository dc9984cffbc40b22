"""Models and data sets as a user would bring them: ``--model own:NAME``, ``--data own:NAME``."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Shape = tuple[int, ...]

RANK = int(os.environ.get("OMPI_COMM_WORLD_RANK", "0"))


def ridge(input_shape: Shape, classes: int, strength: float = 0.01) -> Any:
    """Two dense layers with L2 regularisation, uncompiled."""
    penalty = keras.regularizers.L2(strength)
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="tanh", kernel_regularizer=penalty),
            keras.layers.Dense(classes, activation="softmax", kernel_regularizer=penalty),
        ]
    )


def compiled(input_shape: Shape, classes: int) -> Any:
    """Compiled by its owner, with an optimizer, a loss and metrics that hpcnn would not have chosen."""
    model = ridge(input_shape, classes, 0.0)
    model.compile(
        optimizer=keras.optimizers.RMSprop(0.004),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy", "mse"],
    )
    return model


def without_input(classes: int) -> Any:
    """A Sequential that learns its input's shape only when it is built."""
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(classes, activation="softmax")])


def each_rank_its_own_weights(input_shape: Shape, classes: int) -> Any:
    """Initial weights that differ between ranks, as where a script forgets the seed."""
    keras.utils.set_random_seed(100 + RANK)
    return ridge(input_shape, classes)


def one_normalized_layer(input_shape: Shape) -> Any:
    """Batch normalisation in front of two outputs: its moving statistics can be computed by hand."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )


def seven_samples() -> Any:
    """Seven samples of three features, for one step whose batch does not divide by two."""
    generator = np.random.default_rng(7)
    x = generator.normal(1.0, 2.0, (7, 3)).astype(np.float32)
    y = np.array([0, 1, 0, 1, 1, 0, 1])
    return (x, y), (x, y)


def missing_on_rank_1() -> Any:
    """A data set that one rank cannot read."""
    if RANK == 1:
        raise OSError("no such file on this node")
    return seven_samples()


class FailsOnRank1(keras.layers.Layer):  # type: ignore[misc]
    """Passes its input on; on rank 1, raises at the tenth call."""

    calls = 0

    def call(self, inputs: Any) -> Any:
        with tf.control_dependencies([tf.numpy_function(self._count, [], tf.int32)]):
            return tf.identity(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def _count(self) -> Any:
        self.calls += 1
        if RANK == 1 and self.calls == 10:
            raise ArithmeticError("made to fail in the middle of training")
        return np.int32(0)


def fails_in_training(input_shape: Shape, classes: int) -> Any:
    """Dense layers with one in between that fails on rank 1."""
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Flatten(), FailsOnRank1(), keras.layers.Dense(classes, "softmax")]
    )


def normalized(input_shape: Shape, classes: int) -> Any:
    """Batch normalisation after a convolution and after a dense layer, with nothing that rounding could tip over.

    (Rectifiers and max-pooling do tip over: the digits' pixels are repeated, so windows are full of equal values.)
    """
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(4, 3, strides=2),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("tanh"),
            keras.layers.Flatten(),
            keras.layers.Dense(16),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("tanh"),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )


def scheduled(input_shape: Shape, classes: int) -> Any:
    """Compiled with a schedule of its own."""
    model = ridge(input_shape, classes)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    model.compile(keras.optimizers.SGD(schedule), "sparse_categorical_crossentropy")
    return model


def two_outputs(input_shape: Shape) -> Any:
    """Uncompiled, with fewer outputs than there are classes."""
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(2)])


def for_other_images(classes: int) -> Any:
    """For images of another size than any data set of these tests."""
    return ridge((5, 5, 3), classes)
