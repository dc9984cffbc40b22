"""The networks of "Deep Learning in an Afternoon" (PSC, J. Urbanic), one factory each.

``numnodes`` is the number of neurons of a hidden dense layer, ``numfm`` that of the feature maps of the first
convolution. All convolutions are 3x3, stride 1, without padding; pooling is 2x2. ``layers`` describes the common
arguments. Must not import data sets or trainings.
"""

from __future__ import annotations

import keras
import numpy as np
from keras.layers import BatchNormalization, Dense, Flatten, MaxPooling2D

from hpcnn.models.layers import Hidden, classifier, dropout, flat_input, image_input


def toy(hidden_bias: float | None = None, *, input_shape: tuple[int, ...] = (3,), classes: int = 2) -> keras.Model:
    """Return the lecture's 3-3-2 network of sigmoids with the weights of its calculation by hand.

    hidden_bias: bias of every hidden neuron (the lecture's second example has 0.1); None for no biases at all.
    Raises ValueError for anything but 3 inputs and 2 outputs.
    """
    if tuple(input_shape) != (3,) or classes != 2:
        raise ValueError("its weights are for 3 inputs and 2 outputs")
    hidden = Dense(3, activation="sigmoid", use_bias=hidden_bias is not None, name="hidden")
    output = Dense(2, activation="sigmoid", use_bias=False, dtype="float32", name="output")
    model = keras.Sequential([keras.Input((3,)), hidden, output])
    biases = [] if hidden_bias is None else [np.full(3, hidden_bias)]
    hidden.set_weights([np.transpose([[1, -2, 2], [2, 1, -4], [1, -1, 0]]), *biases])
    output.set_weights([np.transpose([[-3, 1, -3], [0, 1, 2]])])
    return model


def fc(
    numnodes: int = 64,
    hidden_layers: int = 2,
    *,
    d_rate: float = 0.0,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (784,),
    classes: int = 10,
) -> keras.Model:
    """Return ``hidden_layers`` dense layers of ``numnodes`` neurons each, then softmax."""
    hidden = Hidden(activation, l2, batch_norm)
    layers = [layer for _ in range(hidden_layers) for layer in (*hidden.dense(numnodes), *dropout(d_rate))]
    return keras.Sequential([*flat_input(input_shape), *layers, classifier(classes)])


def mirrored(
    numnodes: int = 64,
    d_rate: float = 0.2,
    *,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (784,),
    classes: int = 10,
) -> keras.Model:
    """Return dropout on the input, one dense layer, then softmax: the lecture's MirroredStrategy fragment.

    The lecture leaves out what follows the dense layer; the softmax layer is hpcnn's.
    """
    hidden = Hidden(activation, l2, batch_norm)
    layers = [*flat_input(input_shape), *dropout(d_rate), *hidden.dense(numnodes), classifier(classes)]
    return keras.Sequential(layers)


def hparams(
    numnodes: int = 16,
    d_rate: float = 0.1,
    *,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (784,),
    classes: int = 10,
) -> keras.Model:
    """Return one dense layer with dropout, then softmax: the network behind the lecture's table of hyper-parameters.

    The lecture shows the table alone: units, dropout, optimizer, accuracy. The layers are those of TensorBoard's
    tutorial "Hyperparameter Tuning with the HParams Dashboard", whose parameters have these names.
    """
    return keras.Sequential(
        [
            *flat_input(input_shape),
            *Hidden(activation, l2, batch_norm).dense(numnodes),
            *dropout(d_rate),
            classifier(classes),
        ]
    )


def cnn1(
    numfm: int = 32,
    numnodes: int = 100,
    *,
    d_rate_conv: float = 0.0,
    d_rate_dense: float = 0.0,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (28, 28, 1),
    classes: int = 10,
) -> keras.Model:
    """Return one convolution with pooling, one dense layer, then softmax."""
    hidden = Hidden(activation, l2, batch_norm)
    return keras.Sequential(
        [
            image_input(input_shape),
            *hidden.convolution(numfm, 3),
            MaxPooling2D(pool_size=2),
            *dropout(d_rate_conv),
            Flatten(),
            *hidden.dense(numnodes),
            *dropout(d_rate_dense),
            classifier(classes),
        ]
    )


def cnn2(
    numfm: int = 32,
    numnodes: int = 128,
    *,
    d_rate_conv: float = 0.0,
    d_rate_dense: float = 0.0,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (28, 28, 1),
    classes: int = 10,
) -> keras.Model:
    """Return two convolutions (``numfm``, then twice that), pooling, one dense layer, then softmax.

    With dropout after the pooling and after the dense layer where their rates are not 0.
    """
    hidden = Hidden(activation, l2, batch_norm)
    return keras.Sequential(
        [
            image_input(input_shape),
            *hidden.convolution(numfm, 3),
            *hidden.convolution(2 * numfm, 3),
            MaxPooling2D(pool_size=2),
            *dropout(d_rate_conv),
            Flatten(),
            *hidden.dense(numnodes),
            *dropout(d_rate_dense),
            classifier(classes),
        ]
    )


def cnn_dropout(
    numfm: int = 32,
    numnodes: int = 128,
    *,
    d_rate_conv: float = 0.25,
    d_rate_dense: float = 0.5,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (28, 28, 1),
    classes: int = 10,
) -> keras.Model:
    """Return ``cnn2`` with dropout after the pooling and after the dense layer.

    Also the network of Keras's mnist_cnn and of Horovod's keras_mnist examples.
    """
    return cnn2(
        numfm,
        numnodes,
        d_rate_conv=d_rate_conv,
        d_rate_dense=d_rate_dense,
        activation=activation,
        l2=l2,
        batch_norm=batch_norm,
        input_shape=input_shape,
        classes=classes,
    )


def cnn_batchnorm(
    numfm: int = 32,
    numnodes: int = 128,
    *,
    activation: str = "relu",
    l2: float = 0.0,
    input_shape: tuple[int, ...] = (28, 28, 1),
    classes: int = 10,
) -> keras.Model:
    """Return ``cnn2`` with batch normalization after the activations, which sit inside the layers."""
    hidden = Hidden(activation, l2)
    return keras.Sequential(
        [
            image_input(input_shape),
            *hidden.convolution(numfm, 3),
            BatchNormalization(),
            *hidden.convolution(2 * numfm, 3),
            MaxPooling2D(pool_size=2),
            BatchNormalization(),
            Flatten(),
            *hidden.dense(numnodes),
            BatchNormalization(),
            classifier(classes),
        ]
    )
