"""The networks of the SciNet lectures (E. Spence, 2017, 2024 and 2026), one factory each.

Arguments have the lectures' names: ``numnodes`` neurons in the hidden dense layer, ``numfm`` feature maps of
the first convolution, ``d_rate`` the share of neurons dropped. Layers are named where the lectures name them.
Imports Keras; knows nothing of data or training.
"""

from __future__ import annotations

import keras
from keras.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D

from hpcnn.models.layers import classifier, flat_input, image_input


def dense_sigmoid(numnodes: int = 30, *, input_shape: tuple[int, ...] = (784,), classes: int = 10) -> keras.Model:
    """Return two sigmoid layers (lecture: model1)."""
    return keras.Sequential(
        [
            *flat_input(input_shape),
            Dense(numnodes, activation="sigmoid", name="hidden"),
            classifier(classes, "sigmoid", name="output"),
        ]
    )


def dense_dropout(
    numnodes: int = 30, d_rate: float = 0.4, *, input_shape: tuple[int, ...] = (784,), classes: int = 10
) -> keras.Model:
    """Return two sigmoid layers with dropout between (the lecture's default rate is 0.4, its run's 0.2)."""
    return keras.Sequential(
        [
            *flat_input(input_shape),
            Dense(numnodes, activation="sigmoid", name="hidden"),
            Dropout(d_rate, name="dropout"),
            classifier(classes, "sigmoid", name="output"),
        ]
    )


def dense_tanh(numnodes: int = 30, *, input_shape: tuple[int, ...] = (784,), classes: int = 10) -> keras.Model:
    """Return a tanh layer and a softmax layer."""
    return keras.Sequential(
        [
            *flat_input(input_shape),
            Dense(numnodes, activation="tanh", name="hidden"),
            classifier(classes, name="output"),
        ]
    )


def functional(numnodes: int = 30, *, input_shape: tuple[int, ...] = (784,), classes: int = 10) -> keras.Model:
    """Return ``dense_sigmoid`` written with the functional API (lecture: model1_v2)."""
    inputs = keras.Input(input_shape, name="input")
    flat = Flatten()(inputs) if len(input_shape) > 1 else inputs
    hidden = Dense(numnodes, activation="sigmoid", name="hidden")(flat)
    outputs = classifier(classes, "sigmoid", name="output")(hidden)
    return keras.Model(inputs=inputs, outputs=outputs)


def cnn1(
    numfm: int = 20,
    numnodes: int = 100,
    *,
    kernel_size: int = 5,
    activation: str = "relu",
    input_shape: tuple[int, ...] = (28, 28, 1),
    classes: int = 10,
) -> keras.Model:
    """Return one convolution with pooling, a tanh layer and softmax (lecture: model4, in 2017 model3)."""
    return keras.Sequential(
        [
            image_input(input_shape),
            Conv2D(numfm, kernel_size, activation=activation),
            MaxPooling2D(pool_size=2, strides=2),
            Flatten(),
            Dense(numnodes, activation="tanh"),
            classifier(classes),
        ]
    )


def cnn2(
    numfm: int = 20,
    numnodes: int = 100,
    *,
    activation: str = "relu",
    input_shape: tuple[int, ...] = (28, 28, 1),
    classes: int = 10,
) -> keras.Model:
    """Return two convolutions with pooling, a tanh layer and softmax (lecture: model5)."""
    return keras.Sequential(
        [
            image_input(input_shape),
            Conv2D(numfm, 5, activation=activation),
            MaxPooling2D(pool_size=2, strides=2),
            Conv2D(2 * numfm, 3, activation=activation),
            MaxPooling2D(pool_size=2, strides=2),
            Flatten(),
            Dense(numnodes, activation="tanh"),
            classifier(classes),
        ]
    )
