"""The networks of the SciNet lectures (E. Spence, 2017, 2024 and 2026), one factory each.

Arguments have the lectures' names: ``numnodes`` neurons in the hidden dense layer, ``numfm`` feature maps of
the first convolution, ``d_rate`` the share of neurons dropped. Layers have names where the lectures name them.
``layers`` describes the common arguments. Must not import data sets or trainings.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
from keras.layers import Flatten, MaxPooling2D

from hpcnn.models.layers import Hidden, classifier, dropout, flat_input, image_input
from hpcnn.util.types import Tensor

_HALVES = {"upper": (14, 28, 1), "lower": (14, 28, 1)}
_LABELS = {"digit": 10, "odd": 2}


def dense_sigmoid(
    numnodes: int = 30,
    d_rate: float = 0.0,
    *,
    activation: str = "sigmoid",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (784,),
    classes: int = 10,
) -> keras.Model:
    """Return two sigmoid layers (lecture: model1)."""
    return keras.Sequential(
        [
            *flat_input(input_shape),
            *Hidden(activation, l2, batch_norm).dense(numnodes, name="hidden"),
            *dropout(d_rate, name="dropout"),
            classifier(classes, "sigmoid", name="output"),
        ]
    )


def dense_dropout(
    numnodes: int = 30,
    d_rate: float = 0.4,
    *,
    activation: str = "sigmoid",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (784,),
    classes: int = 10,
) -> keras.Model:
    """Return two sigmoid layers with dropout between (the lecture's default rate is 0.4, its run's 0.2)."""
    return dense_sigmoid(
        numnodes,
        d_rate,
        activation=activation,
        l2=l2,
        batch_norm=batch_norm,
        input_shape=input_shape,
        classes=classes,
    )


def dense_tanh(
    numnodes: int = 30,
    d_rate: float = 0.0,
    *,
    activation: str = "tanh",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (784,),
    classes: int = 10,
) -> keras.Model:
    """Return a tanh layer and a softmax layer."""
    return keras.Sequential(
        [
            *flat_input(input_shape),
            *Hidden(activation, l2, batch_norm).dense(numnodes, name="hidden"),
            *dropout(d_rate, name="dropout"),
            classifier(classes, name="output"),
        ]
    )


def functional(
    numnodes: int = 30,
    d_rate: float = 0.0,
    *,
    activation: str = "sigmoid",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (784,),
    classes: int = 10,
) -> keras.Model:
    """Return ``dense_sigmoid`` written with the functional API (lecture: model1_v2)."""
    inputs = keras.Input(input_shape, name="input")
    hidden = Flatten()(inputs) if len(input_shape) > 1 else inputs
    for layer in (*Hidden(activation, l2, batch_norm).dense(numnodes, name="hidden"), *dropout(d_rate, name="dropout")):
        hidden = layer(hidden)
    outputs = classifier(classes, "sigmoid", name="output")(hidden)
    return keras.Model(inputs=inputs, outputs=outputs)


def cnn1(
    numfm: int = 20,
    numnodes: int = 100,
    *,
    kernel_size: int = 5,
    d_rate: float = 0.0,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (28, 28, 1),
    classes: int = 10,
) -> keras.Model:
    """Return one convolution with pooling, a tanh layer and softmax (lecture: model4, in 2017 model3).

    ``activation`` is the convolution's; ``d_rate`` drops outputs of the tanh layer.
    """
    return keras.Sequential(
        [
            image_input(input_shape),
            *Hidden(activation, l2, batch_norm).convolution(numfm, kernel_size),
            MaxPooling2D(pool_size=2, strides=2),
            Flatten(),
            *Hidden("tanh", l2, batch_norm).dense(numnodes),
            *dropout(d_rate),
            classifier(classes),
        ]
    )


def cnn2(
    numfm: int = 20,
    numnodes: int = 100,
    *,
    d_rate: float = 0.0,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (28, 28, 1),
    classes: int = 10,
) -> keras.Model:
    """Return two convolutions with pooling, a tanh layer and softmax (lecture: model5); see ``cnn1``."""
    hidden = Hidden(activation, l2, batch_norm)
    return keras.Sequential(
        [
            image_input(input_shape),
            *hidden.convolution(numfm, 5),
            MaxPooling2D(pool_size=2, strides=2),
            *hidden.convolution(2 * numfm, 3),
            MaxPooling2D(pool_size=2, strides=2),
            Flatten(),
            *Hidden("tanh", l2, batch_norm).dense(numnodes),
            *dropout(d_rate),
            classifier(classes),
        ]
    )


@keras.saving.register_keras_serializable("hpcnn")  # type: ignore[untyped-decorator]
def two_sided_cross_entropy(true: Tensor, predicted: Tensor) -> Tensor:
    """Return -(v ln a + (1 - v) ln (1 - a)) of each sample: an example of a user's own loss."""
    v = keras.ops.cast(true, predicted.dtype)
    a = keras.ops.clip(predicted, keras.config.epsilon(), 1 - keras.config.epsilon())
    return -(v * keras.ops.log(a) + (1 - v) * keras.ops.log(1 - a))


def two_inputs(
    numfm: int = 20,
    numnodes: int = 100,
    *,
    second_weight: float = 0.2,
    d_rate: float = 0.0,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: Mapping[str, tuple[int, ...]] = _HALVES,
    classes: Mapping[str, int] = _LABELS,
) -> keras.Model:
    """Return a functional network of two inputs and two outputs, compiled with a list of losses and their weights.

    Each half of an image (``upper``, ``lower``) goes through a convolution. Both together give the main output
    ``digit``; the lower half alone gives the auxiliary output ``odd``. The losses are categorical cross-entropy, and
    the function ``two_sided_cross_entropy`` with the weight ``second_weight``. The lectures describe such networks,
    with loss weights of 1.0 and 0.2, and list none: this one is hpcnn's.
    """
    inputs, features = [], []
    for name in _HALVES:
        inputs.append(x := keras.Input(input_shape[name], name=name))
        for layer in (*Hidden(activation, l2, batch_norm).convolution(numfm, 5), MaxPooling2D(pool_size=2), Flatten()):
            x = layer(x)
        features.append(x)
    x = keras.layers.Concatenate()(features)
    for layer in (*Hidden("tanh", l2, batch_norm).dense(numnodes), *dropout(d_rate)):
        x = layer(x)
    digit = classifier(classes["digit"], name="digit")(x)
    odd = classifier(1, "sigmoid", name="odd")(features[1])
    model = keras.Model(inputs, [digit, odd])
    model.compile(
        loss=["categorical_crossentropy", two_sided_cross_entropy],
        loss_weights=[1.0, second_weight],
        metrics=[["accuracy"], ["accuracy"]],
    )
    return model
