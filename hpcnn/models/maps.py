"""Networks that give each pixel a class: U-Net, Tiramisu and DeepLabv3+, the last two as the climate work has them.

Where T. Kurth et al. (Exascale Deep Learning for Climate Analytics, SC18) differ from the original papers, the values
are those of their published code (github.com/azrael417/ClimDeepLearn). ``numfm``: feature maps of the first
convolution; ``layers`` describes the common arguments. Must not import data sets or trainings.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras.layers import Activation, Add, BatchNormalization, Concatenate, Conv2D, Conv2DTranspose, MaxPooling2D

from hpcnn.models.layers import Hidden, dropout, image_input, pixel_classifier
from hpcnn.util.errors import bad_value

# Height, width and channels of the climate work's samples.
_CLIMATE = (768, 1152, 16)


def unet(
    numfm: int = 64,
    depth: int = 4,
    *,
    d_rate: float = 0.0,
    activation: str = "relu",
    l2: float = 0.0,
    batch_norm: bool = False,
    input_shape: tuple[int, ...] = _CLIMATE,
    classes: int = 3,
) -> keras.Model:
    """Return a U-Net: ``depth`` halvings, each with two convolutions and twice the feature maps, and as many doublings.

    O. Ronneberger, P. Fischer and T. Brox, MICCAI 2015 (arXiv:1505.04597), with padded convolutions, so that the output
    is as large as the input. ``d_rate``: dropout at the end of the way down. Height and width must be multiples of
    2^depth.
    """
    _check_multiple(input_shape, 2**depth)
    hidden = Hidden(activation, l2, batch_norm)
    inputs = image_input(input_shape)
    x, skips = inputs, []
    for level in range(depth):
        x = _two_convolutions(hidden, x, numfm * 2**level)
        skips.append(x)
        x = MaxPooling2D(2)(x)
    x = _through(dropout(d_rate), _two_convolutions(hidden, x, numfm * 2**depth))
    for level in reversed(range(depth)):
        x = Conv2DTranspose(numfm * 2**level, 2, strides=2)(x)
        x = _two_convolutions(hidden, Concatenate()([skips[level], x]), numfm * 2**level)
    return keras.Model(inputs, pixel_classifier(classes)(x))


def tiramisu(
    layers: Sequence[int] = (2, 2, 2, 4, 5),
    growth: int = 32,
    numfm: int = 64,
    *,
    kernel_size: int = 5,
    d_rate: float = 0.2,
    activation: str = "relu",
    l2: float = 1e-4,
    batch_norm: bool = True,
    input_shape: tuple[int, ...] = _CLIMATE,
    classes: int = 3,
) -> keras.Model:
    """Return a Tiramisu: dense blocks of so many ``layers`` on the way down, the last the deepest, and back up.

    Each layer of a block adds ``growth`` feature maps to what it is given. S. Jegou et al., The One Hundred Layers
    Tiramisu, 2017 (arXiv:1611.09326): growth 16 and 3 x 3. The climate work doubles the growth, has fewer layers, and
    5 x 5 in place of 3 x 3; its code normalizes after a convolution and halves by a stride in place of pooling. Height
    and width must be multiples of 2^(blocks - 1).
    """
    _check_multiple(input_shape, 2 ** (len(layers) - 1))
    hidden = Hidden(activation, l2, batch_norm)

    def convolution(x: keras.KerasTensor, filters: int, size: int, strides: int = 1) -> keras.KerasTensor:
        made = hidden.convolution(filters, size, strides=strides, padding="same", kernel_initializer="he_uniform")
        return _through([*made, *dropout(d_rate)], x)

    def dense_block(x: keras.KerasTensor, count: int) -> tuple[keras.KerasTensor, list[keras.KerasTensor]]:
        """Return all feature maps after a block, and those that it added."""
        added = []
        for _ in range(count):
            added.append(convolution(x, growth, kernel_size))
            x = Concatenate()([x, added[-1]])
        return x, added

    inputs = image_input(input_shape)
    x, skips = convolution(inputs, numfm, kernel_size), []
    for count in layers[:-1]:
        x, _ = dense_block(x, count)
        skips.append(x)
        x = convolution(x, x.shape[-1], 1, strides=2)
    x, added = dense_block(x, layers[-1])
    for count, skip in zip(reversed(layers[:-1]), reversed(skips), strict=True):
        new = Concatenate()(added) if len(added) > 1 else added[0]
        up = Conv2DTranspose(new.shape[-1], 3, strides=2, padding="same", kernel_initializer="he_uniform")(new)
        x, added = dense_block(Concatenate()([up, skip]), count)
    return keras.Model(inputs, pixel_classifier(classes)(x))


def deeplab(
    blocks: Sequence[int] = (3, 4, 6, 3),
    numfm: int = 64,
    numfm_decoder: int = 256,
    rates: Sequence[int] = (12, 24, 36),
    *,
    activation: str = "relu",
    input_shape: tuple[int, ...] = _CLIMATE,
    classes: int = 3,
) -> keras.Model:
    """Return DeepLabv3+ with a ResNet of so many units in its ``blocks`` (ResNet-50) and a decoder of full resolution.

    L.-C. Chen et al., ECCV 2018 (arXiv:1802.02611). The encoder (K. He et al., arXiv:1603.05027) keeps an eighth of
    height and width: later blocks have holes in their kernels instead of strides. ``rates``: holes of the pyramid of
    parallel convolutions behind it, of ``numfm_decoder`` feature maps each. The original's decoder ends at a quarter of
    the resolution and stretches; the climate work's doubles twice more and joins what two convolutions make of the
    input. Height and width must be multiples of 8.
    """
    _check_multiple(input_shape, 8)
    inputs = image_input(input_shape)
    encoded, quarter = _resnet(inputs, blocks, numfm, activation)
    x = _pyramid(encoded, numfm_decoder, rates, activation)
    x = Conv2DTranspose(numfm_decoder, 3, strides=2, padding="same")(x)
    low = _normalized(quarter, max(3 * numfm // 4, 1), 1, activation)
    x = Concatenate()([x, low])
    for _ in range(2):
        x = _normalized(x, numfm_decoder, 3, activation)
    for _ in range(2):
        x = Conv2DTranspose(numfm_decoder, 3, strides=2, padding="same")(x)
    full = inputs
    for filters in (numfm_decoder // 4, numfm_decoder // 2):
        full = Conv2D(filters, 3, padding="same", activation=activation)(full)
    x = Concatenate()([x, full])
    for _ in range(2):
        x = Conv2D(numfm_decoder, 3, padding="same", activation=activation)(x)
    return keras.Model(inputs, pixel_classifier(classes)(x))


def _two_convolutions(hidden: Hidden, x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    both = (hidden.convolution(filters, 3, padding="same", kernel_initializer="he_normal") for _ in range(2))
    return _through([layer for layers in both for layer in layers], x)


def _resnet(
    x: keras.KerasTensor, blocks: Sequence[int], numfm: int, activation: str
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return what a ResNet ("v2") makes of images, at an eighth of their size, and features at a quarter.

    The last unit of each block but the last halves, as in TensorFlow's and Keras's ResNet v2; where an eighth is
    reached, the units behind it have kernels with holes instead.
    """
    x = Conv2D(numfm, 7, strides=2, padding="same")(x)
    x = MaxPooling2D(3, strides=2, padding="same")(x)
    stride, rate, quarter = 4, 1, None
    for block, units in enumerate(blocks):
        for unit in range(units):
            halves = unit == units - 1 and block < len(blocks) - 1
            step = 2 if halves and stride < 8 else 1
            x, features = _bottleneck(x, numfm * 2**block, step, rate, activation, project=unit == 0)
            quarter = features if block == 0 else quarter
            stride *= step
            rate *= 2 if halves and step == 1 else 1
    return x, quarter


def _bottleneck(
    x: keras.KerasTensor, filters: int, step: int, rate: int, activation: str, *, project: bool
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the output of a unit, and its features after the first convolution."""
    ready = Activation(activation)(BatchNormalization()(x))
    if project:
        shortcut = Conv2D(4 * filters, 1, strides=step)(ready)
    else:
        shortcut = MaxPooling2D(1, strides=step)(x) if step > 1 else x
    first = _normalized(ready, filters, 1, activation)
    y = _normalized(first, filters, 3, activation, strides=step, dilation_rate=rate)
    return Add()([shortcut, Conv2D(4 * filters, 1)(y)]), first


def _pyramid(x: keras.KerasTensor, filters: int, rates: Sequence[int], activation: str) -> keras.KerasTensor:
    """Return the atrous spatial pyramid pooling: parallel convolutions with holes, and the mean of the whole image."""
    parts = [_normalized(x, filters, 1, activation)]
    parts += [_normalized(x, filters, 3, activation, dilation_rate=rate) for rate in rates]
    mean = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    parts.append(keras.layers.UpSampling2D(x.shape[1:3])(_normalized(mean, filters, 1, activation)))
    return _normalized(Concatenate()(parts), filters, 1, activation)


def _normalized(x: keras.KerasTensor, filters: int, size: int, activation: str, **options: int) -> keras.KerasTensor:
    """Return a convolution without bias, batch normalization and the activation."""
    x = Conv2D(filters, size, padding="same", use_bias=False, **options)(x)
    return Activation(activation)(BatchNormalization()(x))


def _through(layers: Sequence[keras.Layer], x: keras.KerasTensor) -> keras.KerasTensor:
    for layer in layers:
        x = layer(x)
    return x


def _check_multiple(input_shape: tuple[int, ...], of: int) -> None:
    if len(input_shape) == 3 and any(size % of for size in input_shape[:2]):
        raise bad_value("input shape", tuple(input_shape), f"a height and a width that are multiples of {of}")
