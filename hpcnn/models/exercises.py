"""Small networks for the data sets that a lecture names as exercises without giving a network: they are hpcnn's.

Arguments are named as in the lectures' factories; what all factories take besides is said in ``layers``. Imports
Keras; knows nothing of data or training.
"""

from __future__ import annotations

import keras
from keras.layers import Conv1D, Embedding, GlobalAveragePooling1D, GlobalMaxPooling1D

from hpcnn.models.layers import Hidden, classifier, dropout, flat_input


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
    """Return the mean of ``numdim`` numbers a word, one dense layer, then one sigmoid output (or softmax).

    words: how many numbers of words there are; the padding, 0, is averaged as a word is.
    """
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="int32"),
            Embedding(words, numdim),
            GlobalAveragePooling1D(),
            *Hidden(activation, l2, batch_norm).dense(numnodes),
            *dropout(d_rate),
            _answer(classes),
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
    """Return a convolution over ``kernel_size`` words in a row, each filter's largest answer, and a dense layer."""
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="int32"),
            Embedding(words, numdim),
            *dropout(d_rate),
            Conv1D(numfm, kernel_size, activation=activation),
            GlobalMaxPooling1D(),
            *Hidden(activation, l2, batch_norm).dense(numnodes),
            *dropout(d_rate),
            _answer(classes),
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


def _answer(classes: int) -> keras.Layer:
    """Return the last layer: the probability of the second of two classes, or one for each class."""
    return classifier(1, "sigmoid") if classes == 2 else classifier(classes)
