"""Maps of classes and images to predict, as a user would bring them: ``--data own_maps:NAME``."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

Shape = tuple[int, ...]


def _small(count: int, test: int) -> Any:
    """Digits of 9x9 pixels, with the label of their class."""
    from hpcnn.data.registry import load

    data = load("digits", samples=count, test_samples=test)
    return [(x[:, ::3, ::3][:, :9, :9], y) for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test))]


def _truth(x: Any, y: Any) -> Any:
    """Maps: 0 background, 1 ink of an odd digit, 2 ink of an even one, 255 what is between ink and none."""
    ink = np.where(y[:, None, None] % 2, 1, 2)
    grey = x[..., 0]
    return np.where(grey < 60, 0, np.where(grey < 140, 255, ink)).astype(np.uint8)


def maps(form: str = "integers", weights: bool = False) -> Any:
    """Images with the class of each of their pixels: integers, one-hot, or a channel of integers."""
    parts = []
    for x, y in _small(203, 75):
        truth = _truth(x, y)
        if form == "one-hot":
            truth = np.eye(3, dtype=np.float32)[np.minimum(truth, 2)]
        elif form == "channel":
            truth = truth[..., None]
        of_pixels = ((np.arange(x[..., 0].size) % 7) / 3).reshape(x.shape[:3])
        parts.append((x, truth, of_pixels) if weights else (x, truth))
    return tuple(parts)


def maps_on_disk() -> Any:
    """The same in NumPy's files."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    parts = []
    for part, arrays in zip(("train", "test"), maps(), strict=True):
        for kind, array in zip("xy", arrays, strict=True):
            np.save(folder / f"{kind}_{part}.npy", array)
        parts.append(tuple(np.load(folder / f"{kind}_{part}.npy", mmap_mode="r") for kind in "xy"))
    return tuple(parts)


def two_classes() -> Any:
    """Images with ink or none for each pixel, and weights of pixels."""
    return tuple((x, (y == 1) | (y == 2), w) for x, y, w in maps(weights=True))


def segmenter(input_shape: Shape, classes: int, activation: str = "softmax") -> Any:
    """Two convolutions: a class for each pixel, uncompiled."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(
                4, 3, padding="same", activation="tanh", kernel_regularizer=keras.regularizers.L2(0.01)
            ),
            keras.layers.Conv2D(classes, 1, activation=activation),
        ]
    )


def segmenter_that_ignores(input_shape: Shape, classes: int) -> Any:
    """The same, compiled by its owner, with Keras's own words for pixels that are ignored."""
    model = segmenter(input_shape, classes)
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=255)
    metric = keras.metrics.MeanIoU(3, ignore_class=255, sparse_y_pred=False)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=[metric])
    return model


def segmenter_by_weight(input_shape: Shape, classes: int) -> Any:
    """The same with a loss that is divided by the sum of the weights."""
    model = segmenter(input_shape, classes)
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=255, reduction="mean_with_sample_weight")
    model.compile(keras.optimizers.SGD(0.1), loss)
    return model


def pictures(form: str = "floats") -> Any:
    """Images that are to be predicted themselves: as floats of 0..1, or the very bytes of the features."""
    return tuple((x, x if form == "same" else (x / 255).astype(np.float32)) for x, _ in _small(203, 75))


def autoencoder(input_shape: Shape, classes: int, dense: bool = False) -> Any:
    """Images through a narrow layer and back, uncompiled."""
    layers = keras.layers
    size = int(np.prod(input_shape))
    inner = [layers.Flatten(), layers.Dense(8, "tanh"), layers.Dense(size, "sigmoid")]
    return keras.Sequential([keras.Input(input_shape), *inner, *([] if dense else [layers.Reshape(input_shape)])])
