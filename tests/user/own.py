"""Models and data sets as a user would bring them: ``--model own:NAME``, ``--data own:NAME``."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Shape = tuple[int, ...]

RANK = int(os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ.get("PMI_RANK", "0"))


def ridge(input_shape: Shape, classes: int, strength: float = 0.01) -> Any:
    """Two dense layers with L2 regularisation, uncompiled."""
    penalty = keras.regularizers.L2(strength)
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="tanh", kernel_regularizer=penalty),
            keras.layers.Dense(classes, activation="softmax", kernel_regularizer=penalty),
        ]
    )


def wide(input_shape: Shape, classes: int) -> Any:
    """Kernels that are large beside a batch of 20: the first on the input and with a penalty, the second used twice."""
    inputs = keras.Input(input_shape)
    first = keras.layers.Dense(512, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.001))
    second = keras.layers.Dense(512, activation="tanh", use_bias=False)
    outputs = second(second(first(keras.layers.Flatten()(inputs))))
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(outputs))


def compiled(input_shape: Shape, classes: int) -> Any:
    """Compiled by its owner, with an optimizer, a loss and metrics that hpcnn would not have chosen."""
    model = ridge(input_shape, classes, 0.0)
    model.compile(
        optimizer=keras.optimizers.RMSprop(0.004),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy", "mse"],
    )
    return model


def without_input(classes: int) -> Any:
    """A Sequential that learns its input's shape only when it is built."""
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(classes, activation="softmax")])


def each_rank_its_own_weights(input_shape: Shape, classes: int) -> Any:
    """Initial weights that differ between ranks, as where a script forgets the seed."""
    keras.utils.set_random_seed(100 + RANK)
    return ridge(input_shape, classes)


def one_normalized_layer(input_shape: Shape) -> Any:
    """Batch normalisation in front of two outputs: its moving statistics can be computed by hand."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )


def seven_samples() -> Any:
    """Seven samples of three features, for one step whose batch does not divide by two."""
    generator = np.random.default_rng(7)
    x = generator.normal(1.0, 2.0, (7, 3)).astype(np.float32)
    y = np.array([0, 1, 0, 1, 1, 0, 1])
    return (x, y), (x, y)


def missing_on_rank_1() -> Any:
    """A data set that one rank cannot read."""
    if RANK == 1:
        raise OSError("no such file on this node")
    return seven_samples()


class FailsOnRank1(keras.layers.Layer):  # type: ignore[misc]
    """Passes its input on; on rank 1, raises at the tenth call."""

    calls = 0

    def call(self, inputs: Any) -> Any:
        with tf.control_dependencies([tf.numpy_function(self._count, [], tf.int32)]):
            return tf.identity(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def _count(self) -> Any:
        self.calls += 1
        if RANK == 1 and self.calls == 10:
            raise ArithmeticError("made to fail in the middle of training")
        return np.int32(0)


def fails_in_training(input_shape: Shape, classes: int) -> Any:
    """Dense layers with one in between that fails on rank 1."""
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Flatten(), FailsOnRank1(), keras.layers.Dense(classes, "softmax")]
    )


def _normalized_convolution(input_shape: Shape) -> list[Any]:
    """Return the layers from the images to a vector, with batch normalisation after a convolution."""
    return [
        keras.Input(input_shape),
        keras.layers.Conv2D(4, 3, strides=2),
        keras.layers.BatchNormalization(),
        keras.layers.Activation("tanh"),
        keras.layers.Flatten(),
    ]


def normalized(input_shape: Shape, classes: int) -> Any:
    """Batch normalisation after a convolution and after a dense layer, with nothing that rounding could tip over.

    (Rectifiers and max-pooling do tip over: the digits' pixels are repeated, so windows are full of equal values.)
    """
    return keras.Sequential(
        [
            *_normalized_convolution(input_shape),
            keras.layers.Dense(16),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("tanh"),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )


def normalized_with_dropout(input_shape: Shape, classes: int) -> Any:
    """Batch normalisation and dropout after a convolution."""
    return keras.Sequential(
        [
            *_normalized_convolution(input_shape),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )


def scheduled(input_shape: Shape, classes: int) -> Any:
    """Compiled with a schedule of its own."""
    model = ridge(input_shape, classes)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    model.compile(keras.optimizers.SGD(schedule), "sparse_categorical_crossentropy")
    return model


def two_outputs(input_shape: Shape) -> Any:
    """Uncompiled, with fewer outputs than there are classes."""
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(2)])


def for_other_images(classes: int) -> Any:
    """For images of another size than any data set of these tests."""
    return ridge((5, 5, 3), classes)


def on_disk() -> Any:
    """Digits in NumPy's files, mapped into memory: hpcnn reads them a slice at a time."""
    from hpcnn.data.registry import load

    data = load("digits", samples=333, test_samples=120)
    folder = Path(tempfile.mkdtemp())
    parts = []
    for part, x, y in (("train", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
        for kind, array in (("x", x), ("y", y)):
            np.save(folder / f"{kind}_{part}.npy", array)
        parts.append(tuple(np.load(folder / f"{kind}_{part}.npy", mmap_mode="r") for kind in "xy"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return tuple(parts)


class Slow:
    """Samples with ``len`` and ``read``, each slice of which takes a while."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count, self._seconds = count, seconds

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Any) -> Any:
        time.sleep(self._seconds)
        return np.ones((len(indices), 28, 28, 1), np.uint8), np.asarray(indices) % 10


def slow_samples(seconds: float) -> Any:
    """Two sources of a user's own."""
    return Slow(200, seconds), Slow(20, seconds)


def halves() -> Any:
    """The digits as two inputs, upper and lower half, with two labels: the digit, and whether it is odd."""
    from hpcnn.data.registry import load

    data = load("digits", samples=333, test_samples=120)

    def part(x: Any, y: Any) -> Any:
        pixels = (x / 255).astype(np.float32)
        return {"upper": pixels[:, :14], "lower": pixels[:, 14:]}, {"digit": y, "odd": y % 2}

    return part(data.x_train, data.y_train), part(data.x_test, data.y_test)


def halves_as_tuples() -> Any:
    """The same as tuples."""
    return tuple(tuple(tuple(part.values()) for part in pair) for pair in halves())


def far_from(truth: Any, predicted: Any) -> Any:
    """A loss of one's own: the square root of the quadratic one, a sample. Keras gives both as (N,) for one output."""
    return keras.ops.sqrt(1e-4 + (keras.ops.cast(truth, predicted.dtype) - predicted) ** 2)


def two_inputs(input_shape: Any, classes: Any) -> Any:
    """Two inputs, two outputs, a loss for each (one of its own) and their weights."""
    keys = ("upper", "lower") if isinstance(input_shape, dict) else (0, 1)
    inputs = [keras.Input(input_shape[key], name=name) for key, name in zip(keys, ("upper", "lower"), strict=True)]
    flat = [keras.layers.Flatten()(one) for one in inputs]
    hidden = keras.layers.Dense(16, activation="tanh")(keras.layers.Concatenate()(flat))
    digit = keras.layers.Dense(10, activation="softmax", name="digit")(hidden)
    odd = keras.layers.Dense(1, activation="sigmoid", name="odd")(flat[1])
    model = keras.Model(inputs, [digit, odd])
    model.compile(
        keras.optimizers.SGD(0.05),
        loss=["categorical_crossentropy", far_from],
        loss_weights=[1.0, 0.2],
        metrics=[["accuracy"], ["accuracy"]],
    )
    return model


def two_fixed_inputs() -> Any:
    """The same for halves of 28x28 images, whatever the data."""
    return two_inputs({"upper": (14, 28, 1), "lower": (14, 28, 1)}, {})


def _renamed(pair: Any, kind: int, names: tuple[str, str]) -> Any:
    parts = list(pair)
    parts[kind] = dict(zip(names, parts[kind].values(), strict=True))
    return tuple(parts)


def halves_of_other_names() -> Any:
    """``halves`` with inputs of other names."""
    return tuple(_renamed(pair, 0, ("top", "bottom")) for pair in halves())


def halves_of_other_labels() -> Any:
    """``halves`` with labels of other names."""
    return tuple(_renamed(pair, 1, ("digit", "even")) for pair in halves())


def log_probabilities(input_shape: Shape, classes: int) -> Any:
    """``ridge`` without a penalty, with log-probabilities for outputs, uncompiled."""
    model = ridge(input_shape, classes, 0.0)
    model.layers[-1].activation = keras.activations.log_softmax
    return model


def quadratic(truth: Any, predicted: Any) -> Any:
    """A loss of one's own: the quadratic cost, of class numbers and one output a class."""
    wanted = keras.ops.one_hot(keras.ops.reshape(truth, (-1,)), predicted.shape[-1])
    return keras.ops.mean((wanted - predicted) ** 2, axis=-1)


def word_numbers(input_shape: Shape, classes: int) -> Any:
    """An embedding of 5000 words in one number, each word's own number divided by 5000."""
    table = keras.initializers.Constant(np.arange(5000, dtype=np.float32)[:, None] / 5000)
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="int32"),
            keras.layers.Embedding(5000, 1, embeddings_initializer=table, dtype="float32"),
            keras.layers.Flatten(dtype="float32"),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", dtype="float32"),
        ]
    )


def sentences(largest: int = 4999) -> Any:
    """Texts of two words, of which half precision would round the greater numbers; the mean is to be predicted."""
    from hpcnn.data.dataset import DataSet

    words = np.array([[2049, largest], [4097, 3]] * 4)
    return DataSet("sentences", words, words.sum(axis=1) / 5000, words, words.sum(axis=1) / 5000, tokens=True)


def planes() -> Any:
    """A regression of two targets from two features."""
    generator = np.random.default_rng(2)
    x = generator.normal(0, 1, (200, 2)).astype(np.float32)
    y = np.stack([x[:, 0] - x[:, 1], 2 * x[:, 1]], axis=1)
    return (x[:150], y[:150]), (x[150:], y[150:])


def uncompiled_regression(input_shape: Shape, classes: int) -> Any:
    """One linear layer with an output for each target."""
    return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(classes)])


ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu", "selu", "softplus", "softmax", "log_softmax")


def every_layer(input_shape: Shape, classes: int) -> Any:
    """A network with every kind of layer that the lectures name, and a dense layer for each activation."""
    layers = keras.layers
    inputs = x = keras.Input(input_shape)
    x = layers.Conv2D(4, 3, padding="same", strides=2)(x)
    x = layers.BatchNormalization()(x)
    x = layers.LeakyReLU(0.2)(x)
    a = layers.Conv2D(4, 3, padding="valid", activation="relu")(x)
    b = layers.SpatialDropout2D(0.1)(layers.Conv2D(4, 3)(x))
    x = layers.Concatenate()([layers.Add()([a, b]), layers.Subtract()([a, b]), layers.Multiply()([a, b])])
    x = layers.Concatenate()([layers.AveragePooling2D(2)(x), layers.MaxPooling2D(2)(x)])
    x = layers.Dropout(0.1)(layers.Flatten()(x))
    x = layers.Concatenate()([layers.Activation(activation)(layers.Dense(8)(x)) for activation in ACTIVATIONS])
    return keras.Model(inputs, layers.Dense(classes, activation="log_softmax")(x))


def summed(input_shape: Shape, classes: int) -> Any:
    """Compiled with a loss that is the sum over the samples, and a penalty, which is there once."""
    model = ridge(input_shape, classes)
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="sum")
    model.compile(optimizer=keras.optimizers.SGD(0.001, momentum=0.9), loss=loss, metrics=["accuracy"])
    return model


def averaged(input_shape: Shape, classes: int) -> Any:
    """Compiled with an optimizer that leaves the moving averages of the weights at the end."""
    model = ridge(input_shape, classes)
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def ignoring(input_shape: Shape, classes: int) -> Any:
    """Compiled with a loss that is the mean over the samples that are not of the last class."""
    model = ridge(input_shape, classes)
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=classes - 1)
    model.compile(optimizer="sgd", loss=loss, metrics=["accuracy"])
    return model


def compiled_with(input_shape: Shape, classes: int, kind: str) -> Any:
    """Compiled with options of one kind."""
    options: dict[str, Any] = {
        "how": {"metrics": ["accuracy"], "jit_compile": True, "steps_per_execution": 4},
        "weighted": {
            "metrics": ["accuracy"],
            "weighted_metrics": [keras.metrics.SparseCategoricalAccuracy("weighted")],
        },
        "f1": {"metrics": [keras.metrics.F1Score("macro")], "loss": "categorical_crossentropy"},
        "maximum": {"metrics": [Largest("largest")]},
    }[kind]
    model = ridge(input_shape, classes)
    model.compile(optimizer=keras.optimizers.SGD(0.1), **{"loss": "sparse_categorical_crossentropy", **options})
    return model


class Largest(keras.metrics.Metric):  # type: ignore[misc]
    """The largest probability so far: a state that is no sum."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.largest = self.add_weight(shape=(), initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.largest.assign(keras.ops.maximum(self.largest, keras.ops.max(y_pred)))

    def result(self) -> Any:
        return self.largest


def padded() -> Any:
    """Sentences of one to six words, padded with zeros, and for each word whether it is one of the last ten."""
    generator = np.random.default_rng(8)
    words = generator.integers(1, 20, (60, 6)) * (np.arange(6) < np.arange(60)[:, None] % 6 + 1)
    return (words, (words > 9).astype(int)), (words[:12], (words[:12] > 9).astype(int))


def masking() -> Any:
    """Two classes for each word; Keras's loss leaves out the padding: it is a mean over what is not masked."""
    layers = keras.layers
    words = keras.Input((6,), dtype="int32")
    embedded = layers.Embedding(20, 4, mask_zero=True)(words)
    model = keras.Model(words, layers.Dense(2, activation="softmax")(embedded))
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def weighted() -> Any:
    """The digits with weights of their samples, for training and for testing; some are 0."""
    from hpcnn.data.registry import load

    data = load("digits", samples=333, test_samples=120)

    def weights(count: int) -> Any:
        return (np.arange(count) % 5) / 2

    return (data.x_train, data.y_train, weights(333)), (data.x_test, data.y_test, weights(120))


def several_labels() -> Any:
    """Points in the plane with three labels each, of which any number may be true."""
    generator = np.random.default_rng(4)
    x = generator.normal(0, 1, (203, 2)).astype(np.float32)
    y = np.stack([x[:, 0] > 0, x[:, 1] > 0.5, x.sum(axis=1) > -0.5], axis=1).astype(np.int64)
    return (x[:153], y[:153]), (x[153:], y[153:])


def for_several_labels(input_shape: Shape, classes: int, activation: str = "sigmoid") -> Any:
    """One output for each label, uncompiled."""
    return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(classes, activation=activation)])


def dropped(input_shape: Shape, classes: int) -> Any:
    """Two dense layers, named, with dropout between them."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Flatten(),
            layers.Dense(8, activation="tanh", name="hidden"),
            layers.Dropout(0.5),
            layers.Dense(classes, activation="softmax", name="head"),
        ]
    )


def with_base(input_shape: Shape, classes: int) -> Any:
    """A network inside of a network, with batch normalisation in it, and a head."""
    layers = keras.layers
    base = keras.Sequential(
        [keras.Input(input_shape), layers.Flatten(), layers.Dense(6, name="inner"), layers.BatchNormalization()],
        name="base",
    )
    return keras.Sequential([keras.Input(input_shape), base, layers.Dense(classes, activation="softmax", name="head")])


def photos() -> Any:
    """Photographs in colour of noise, in three classes."""
    generator = np.random.default_rng(6)
    x = generator.integers(0, 256, (24, 32, 32, 3), np.uint8)
    y = np.arange(24)[::-1] % 3
    return (x[:16], y[:16]), (x[16:], y[16:])


def photos_of_things() -> Any:
    """The same with two labels each."""
    return tuple((x, np.stack([y > 0, y > 1], axis=1).astype(int)) for x, y in photos())


def photos_of_prices() -> Any:
    """The same with a number to predict."""
    return tuple((x, y / 10) for x, y in photos())


def with_code(input_shape: Shape, classes: int) -> Any:
    """A network with a Lambda layer, which a ``.keras`` file keeps as code."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Flatten(),
            layers.Lambda(lambda x: 2 * x, output_shape=lambda shape: shape),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def photographs() -> Any:
    """Return 32 random images of 32x32x3, with values of -1 to 1 so that no network scales them."""
    random = np.random.default_rng(5)
    x = random.uniform(-1, 1, (32, 32, 32, 3)).astype(np.float32)
    return (x, random.integers(0, 10, 32)), (x[:4], np.arange(4))
