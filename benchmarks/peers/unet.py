"""A small U-Net (Ronneberger et al., 2015, arXiv:1505.04597) whose last maps are averaged to classes.

Three levels, two convolutions with batch normalization each; the way up by transposed convolutions.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def unet(input_shape: tuple[int, ...], classes: int, filters: int = 16) -> Any:
    """Return the network; ``filters`` of the first level, twice as many on each that follows."""
    image = keras.Input(input_shape)
    skipped, maps = [], image
    for level in range(2):
        maps = _two_convolutions(maps, filters * 2**level)
        skipped.append(maps)
        maps = layers.MaxPooling2D(2)(maps)
    maps = _two_convolutions(maps, filters * 4)
    for level in (1, 0):
        maps = layers.Conv2DTranspose(filters * 2**level, 2, strides=2)(maps)
        maps = _two_convolutions(layers.Concatenate()([skipped[level], maps]), filters * 2**level)
    maps = layers.Conv2D(classes, 1)(maps)
    return keras.Model(image, layers.Activation("softmax")(layers.GlobalAveragePooling2D()(maps)))


def _two_convolutions(maps: Any, filters: int) -> Any:
    for _ in range(2):
        maps = layers.Conv2D(filters, 3, padding="same", use_bias=False)(maps)
        maps = layers.Activation("relu")(layers.BatchNormalization()(maps))
    return maps
