"""Models and data sets of a user's own, for pictures: ``--model own_images:NAME``, ``--data own_images:NAME``."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

Shape = tuple[int, ...]


class Doubled(keras.layers.Layer):  # type: ignore[misc]
    """A layer of the user's own, which no saved file can bring back without this module."""

    def call(self, inputs: Any) -> Any:
        return 2 * inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def net(input_shape: Shape, classes: int) -> Any:
    """A network with two branches, compiled, whose outputs are logits."""
    inputs = keras.Input(input_shape)
    one = keras.layers.Conv2D(4, 3, padding="same", name="one")(inputs)
    two = keras.layers.Conv2D(4, 5, padding="same", name="two")(inputs)
    joined = keras.layers.MaxPooling2D(2, name="pool")(keras.layers.Add(name="joined")([one, two]))
    doubled = Doubled(name="doubled")(joined)
    flat = keras.layers.Flatten(name="flat")(doubled)
    model = keras.Model(inputs, keras.layers.Dense(classes, name="last")(flat))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def stripes() -> Any:
    """Colour images, 12x10, with a red row or a green column."""
    generator = np.random.default_rng(3)
    images = generator.integers(0, 60, (120, 12, 10, 3), dtype=np.uint8)
    labels = np.arange(120) % 2
    for image, label in zip(images, labels, strict=True):
        if label:
            image[:, generator.integers(10), 1] = 255
        else:
            image[generator.integers(12), :, 0] = 255
    return (images[:80], labels[:80]), (images[80:], labels[80:])


def plane(input_shape: Shape, classes: int) -> Any:
    """One sigmoid neuron, for two classes."""
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.5), "binary_crossentropy", metrics=["accuracy"])
    return model


def halves() -> Any:
    """Points left and right of x = 1."""
    generator = np.random.default_rng(5)
    labels = np.arange(200) % 2
    points = generator.normal(0, 0.2, (200, 2)) + np.stack([np.where(labels, 2.0, 0.0), np.zeros(200)], axis=1)
    points = points.astype(np.float32)
    return (points[:160], labels[:160]), (points[160:], labels[160:])
