"""The networks of M. Wolter's lecture (IFJ PAN, 2020) and of the notebooks it links, one factory each.

``numnodes`` is the number of neurons of a hidden dense layer, ``numfm`` that of the feature maps of the first
convolution. ``layers`` describes the common arguments. Must not import data sets or trainings.
"""

from __future__ import annotations

import keras
from keras.layers import (
    Activation,
    Add,
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Flatten,
    MaxPooling2D,
)

from hpcnn.models.layers import Hidden, classifier, dropout, flat_input, image_input
from hpcnn.util.errors import bad_value


def mlp(
    numnodes: int = 512,
    hidden_layers: int = 3,
    *,
    d_rate: float = 0.2,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (784,),
    classes: int = 10,
) -> keras.Model:
    """Return ``hidden_layers`` dense layers with dropout after each, then softmax."""
    hidden = Hidden(activation, l2, batch_norm)
    layers = [layer for _ in range(hidden_layers) for layer in (*hidden.dense(numnodes), *dropout(d_rate))]
    return keras.Sequential([*flat_input(input_shape), *layers, classifier(classes)])


def mnist_cnn(
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
    """Return twice two convolutions with pooling and dropout, one dense layer with dropout, then softmax."""
    hidden = Hidden(activation, l2, batch_norm)
    return keras.Sequential(
        [
            image_input(input_shape),
            *hidden.convolution(numfm, 3),
            *hidden.convolution(2 * numfm, 3),
            MaxPooling2D(pool_size=2),
            *dropout(d_rate_conv),
            *hidden.convolution(2 * numfm, 3),
            *hidden.convolution(2 * numfm, 3),
            MaxPooling2D(pool_size=2),
            *dropout(d_rate_conv),
            Flatten(),
            *hidden.dense(numnodes),
            *dropout(d_rate_dense),
            classifier(classes),
        ]
    )


def cifar10_cnn(
    numfm: int = 32,
    numnodes: int = 512,
    *,
    d_rate_conv: float = 0.25,
    d_rate_dense: float = 0.5,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = (32, 32, 3),
    classes: int = 10,
) -> keras.Model:
    """Return twice a padded and an unpadded convolution, pooling and dropout; a dense layer; then softmax.

    The dropout rates are those of Keras's cifar10_cnn example: the lecture does not state them.
    """
    hidden = Hidden(activation, l2, batch_norm)
    return keras.Sequential(
        [
            image_input(input_shape),
            *hidden.convolution(numfm, 3, padding="same"),
            *hidden.convolution(numfm, 3),
            MaxPooling2D(pool_size=2),
            *dropout(d_rate_conv),
            *hidden.convolution(2 * numfm, 3, padding="same"),
            *hidden.convolution(2 * numfm, 3),
            MaxPooling2D(pool_size=2),
            *dropout(d_rate_conv),
            Flatten(),
            *hidden.dense(numnodes),
            *dropout(d_rate_dense),
            classifier(classes),
        ]
    )


def resnet(
    depth: int = 110,
    *,
    l2: float = 1e-4,
    input_shape: tuple[int, ...] = (32, 32, 3),
    classes: int = 10,
) -> keras.Model:
    """Return the pre-activation bottleneck ResNet ("v2") of ``depth`` = 9n + 2: n blocks in each of 3 stages.

    From the notebook cifar_classifier_gpu_aug, which took it from Keras's cifar10_resnet example; the
    blocks are those of He et al., "Identity Mappings in Deep Residual Networks" (arXiv:1603.05027). ``l2`` is
    the weight penalty of every convolution. Images need at least 29 rows and columns: the head averages over
    8x8 after two halvings. Raises UsageError for any other depth.
    """
    blocks, remainder = divmod(depth - 2, 9)
    if blocks < 1 or remainder:
        below = max(int(blocks), 1) * 9 + 2
        raise bad_value(
            "depth", depth, f"9n + 2 with n of at least 1 (11, 20, 29, ...), such as {below} or {below + 9}"
        )
    inputs = image_input(input_shape)
    width = 16
    x = _normalized_relu(_convolution(inputs, width, 3, l2=l2))
    for stage in range(3):
        outputs = width * (4 if stage == 0 else 2)
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            # The stem already ends in BN and relu, so the very first block starts with its convolution.
            y = x if stage == 0 and block == 0 else _normalized_relu(x)
            y = _convolution(y, width, 1, stride, l2=l2)
            y = _convolution(_normalized_relu(y), width, 3, l2=l2)
            y = _convolution(_normalized_relu(y), outputs, 1, l2=l2)
            shortcut = _convolution(x, outputs, 1, stride, l2=l2) if block == 0 else x
            x = Add()([shortcut, y])
        width = outputs
    x = Flatten()(AveragePooling2D(pool_size=8)(_normalized_relu(x)))
    return keras.Model(inputs, classifier(classes, kernel_initializer="he_normal")(x))


def _normalized_relu(x: keras.KerasTensor) -> keras.KerasTensor:
    return Activation("relu")(BatchNormalization()(x))


def _convolution(
    x: keras.KerasTensor, filters: int, kernel_size: int, strides: int = 1, *, l2: float
) -> keras.KerasTensor:
    return Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(l2),
    )(x)
