"""Photographs in folders, alone and to a small network: hpcnn beside tf.data by hand, Keras's folder and grain."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.specs.train import TrainSpec
from inputs.common import BATCH, HERE
from inputs.forms import reading
from inputs.trainings import Epochs

SIZE = (256, 256)
# Epochs of a round: where nothing is decoded, one takes a tenth of a second.
_EPOCHS, _EPOCHS_CACHED = 2, 12
BY_HAND, BY_KERAS = "tf.data by hand", "Keras's folder"
_AUTOMATIC = tf.data.AUTOTUNE


def photographs(folder: Path, count: int) -> list[str]:
    """Write photographs of two classes by chance, with a test picture of each; return the files for training."""
    draw = np.random.default_rng(1)
    for number in range(count):
        coarse = draw.integers(0, 256, (32, 32, 3)).astype(np.float32)
        picture = tf.cast(tf.image.resize(coarse, SIZE), tf.uint8)
        file = folder / "train" / f"class{number % 2}" / f"{number:05d}.jpg"
        for path in (file, folder / "test" / file.parent.name / file.name):
            path.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(tf.io.encode_jpeg(picture, quality=90).numpy())
        if number < 2:
            (folder / "test" / file.parent.name / file.name).write_bytes(file.read_bytes())
    return [str(path) for path in sorted((folder / "train").rglob("*.jpg"))]


def alone(folder: Path, files: list[str]) -> dict[str, Callable[[], float]]:
    """Return the ways of reading an epoch, decoded and of one size, that nobody computes with."""

    def rate(batches: Callable[[], Iterator[Any]]) -> Callable[[], float]:
        def run() -> float:
            begin = time.perf_counter()
            for _ in batches():
                pass
            return len(files) / (time.perf_counter() - begin)

        return run

    by_hand, by_keras = _by_hand(files, cached=False), _by_keras(folder, cached=False)
    ways = {
        BY_HAND: rate(lambda: iter(by_hand)),
        HERE: reading(f"images:{folder}"),
        BY_KERAS: rate(lambda: iter(by_keras)),
    }
    if importlib.util.find_spec("grain"):
        ways["grain"] = rate(lambda: _by_grain(files))
    return ways


def trained(
    folder: Path, files: list[str], strategy: Strategy, runs: Path, *, cached: bool
) -> dict[str, Callable[[], float]]:
    """Return trainings of a network that costs next to nothing. cached: decoded once, and kept in memory."""
    cache = "memory" if cached else "none"
    spec = TrainSpec(
        model="inputs.photographs:means", data=f"images:{folder}", batch_size=BATCH, cache=cache, optimizer="sgd"
    )
    ways = {
        BY_HAND: _fitted(_by_hand(files, cached=cached), len(files)),
        HERE: Epochs(spec, strategy, runs),
        BY_KERAS: _fitted(_by_keras(folder, cached=cached), len(files)),
    }
    epochs = _EPOCHS_CACHED if cached else _EPOCHS
    return {way: _several(run, epochs) for way, run in ways.items()}


def _several(epoch: Callable[[], float], count: int) -> Callable[[], float]:
    """Return what does several epochs, and returns samples a second of all."""
    return lambda: statistics.harmonic_mean([epoch() for _ in range(count)])


def means(input_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Return a network that looks at the mean colours of 16 parts of a picture."""
    layers = [
        keras.Input(input_shape),
        keras.layers.AveragePooling2D(input_shape[0] // 4),
        keras.layers.Flatten(),
        keras.layers.Dense(classes, activation="softmax"),
    ]
    return keras.Sequential(layers)


def _fitted(batches: tf.data.Dataset, samples: int) -> Callable[[], float]:
    """Return what trains an epoch by ``model.fit``, and returns samples a second by the clock of its callbacks."""
    model = keras.Sequential([keras.Input((*SIZE, 3)), keras.layers.Rescaling(1 / 255), means((*SIZE, 3), 2)])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    seconds: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seconds.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: seconds.append(time.perf_counter() - seconds.pop()),
    )

    def run() -> float:
        model.fit(batches, verbose=0, callbacks=[clock])
        return samples / seconds.pop()

    return run


def _by_hand(files: list[str], *, cached: bool) -> tf.data.Dataset:
    """Return batches as TensorFlow's performance guide makes them. cached: with what was decoded kept in memory."""

    def decoded(file: Any, label: Any) -> Any:
        return tf.io.decode_jpeg(tf.io.read_file(file), channels=3), label

    labels = [int(Path(file).parent.name[-1]) for file in files]
    data = tf.data.Dataset.from_tensor_slices((files, labels))
    if cached:
        data = data.map(decoded, num_parallel_calls=_AUTOMATIC).cache().shuffle(len(files), seed=1)
    else:
        data = data.shuffle(len(files), seed=1).map(decoded, num_parallel_calls=_AUTOMATIC)
    # the network takes pictures of one size, and a decoder does not tell it
    sized = data.batch(BATCH).map(lambda x, y: (tf.ensure_shape(x, (None, *SIZE, 3)), y))
    return sized.prefetch(_AUTOMATIC)


def _by_keras(folder: Path, *, cached: bool) -> tf.data.Dataset:
    data = keras.utils.image_dataset_from_directory(
        folder / "train", batch_size=BATCH, image_size=SIZE, seed=1, verbose=False
    )
    return (data.cache() if cached else data).prefetch(_AUTOMATIC)


def _by_grain(files: list[str]) -> Iterator[Any]:
    """Return batches of decoded photographs by grain, with as many threads as it takes by default."""
    import grain

    data = grain.MapDataset.source(files).seed(1).shuffle()
    return iter(
        data.map(lambda path: np.asarray(tf.io.decode_jpeg(Path(path).read_bytes()))).batch(BATCH).to_iter_dataset()
    )
