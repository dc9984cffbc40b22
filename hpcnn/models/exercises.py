"""hpcnn's own networks: for data sets that lectures name as exercises, and one that learns MNIST fast.

Arguments are named as in the lectures' factories; ``layers`` describes the common ones. Must not import data sets or
trainings.
"""

from __future__ import annotations

import keras
from keras.layers import (
    Conv1D,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling2D,
)

from hpcnn.models.layers import Hidden, classifier, dropout, flat_input, image_input


def lenet(
    numfm: int = 16,
    numnodes: int = 128,
    *,
    kernel_size: int = 5,
    activation: str = "relu",
    d_rate: float = 0.0,
    input_shape: tuple[int, ...] = (28, 28, 1),
    classes: int = 10,
) -> keras.Model:
    """Return two convolutions of 5 x 5, each with pooling, and two dense layers.

    The layout of LeNet-5 (LeCun, Bottou, Bengio and Haffner, 1998, Proceedings of the IEEE 86, 2278) without its third
    layer of 84, wider, with ReLU and largest values in place of tanh and means.
    """
    return keras.Sequential(
        [
            image_input(input_shape),
            Conv2D(numfm, kernel_size, activation=activation),
            MaxPooling2D(2),
            Conv2D(2 * numfm, kernel_size, activation=activation),
            MaxPooling2D(2),
            Flatten(),
            Dense(numnodes, activation=activation),
            *dropout(d_rate),
            classifier(classes),
        ]
    )


def text_embedding(
    words: int = 10_000,
    numdim: int = 16,
    numnodes: int = 16,
    *,
    d_rate: float = 0.0,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (256,),
    classes: int = 2,
) -> keras.Model:
    """Return the mean of word embeddings of size ``numdim``, a dense layer, then one sigmoid output (or softmax).

    words: size of the vocabulary; the padding, 0, is averaged like a word.
    """
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="int32"),
            Embedding(words, numdim),
            GlobalAveragePooling1D(),
            *Hidden(activation, l2, batch_norm).dense(numnodes),
            *dropout(d_rate),
            _output(classes),
        ]
    )


def text_conv1d(
    words: int = 10_000,
    numdim: int = 32,
    numfm: int = 64,
    numnodes: int = 64,
    *,
    kernel_size: int = 5,
    d_rate: float = 0.2,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (256,),
    classes: int = 2,
) -> keras.Model:
    """Return a convolution over ``kernel_size`` consecutive words, global max pooling, and a dense layer."""
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="int32"),
            Embedding(words, numdim),
            *dropout(d_rate),
            Conv1D(numfm, kernel_size, activation=activation),
            GlobalMaxPooling1D(),
            *Hidden(activation, l2, batch_norm).dense(numnodes),
            *dropout(d_rate),
            _output(classes),
        ]
    )


def regression(
    numnodes: int = 64,
    hidden_layers: int = 2,
    *,
    d_rate: float = 0.0,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (13,),
    classes: int = 1,
) -> keras.Model:
    """Return ``hidden_layers`` dense layers and ``classes`` linear outputs: one for each number to predict."""
    hidden = Hidden(activation, l2, batch_norm)
    layers = [layer for _ in range(hidden_layers) for layer in (*hidden.dense(numnodes), *dropout(d_rate))]
    return keras.Sequential([*flat_input(input_shape), *layers, classifier(classes, "linear")])


def _output(classes: int) -> keras.Layer:
    """Return the last layer: the probability of the second of two classes, or of each class."""
    return classifier(1, "sigmoid") if classes == 2 else classifier(classes)
