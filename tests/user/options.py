"""Models that differ in one option of ``compile`` or of a layer, as users write them: ``--model options:build``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

Shape = tuple[int, ...]
_LOSS = "sparse_categorical_crossentropy"


class Penalty(keras.layers.Layer):  # type: ignore[misc]
    """A layer that adds a loss of its own: a mean over the samples, or a sum."""

    def __init__(self, kind: str, **more: Any) -> None:
        super().__init__(**more)
        self.kind = kind

    def call(self, inputs: Any) -> Any:
        squares = keras.ops.square(inputs)
        self.add_loss(0.01 * (keras.ops.mean(squares) if self.kind == "mean" else keras.ops.sum(squares)))
        return inputs


def _dense(*between: Any, first: Any = None, optimizer: Any = None, loss: Any = _LOSS, **options: Any) -> Any:
    """Return a small network with layers between its two dense ones, compiled."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(),
            first or keras.layers.Dense(8, activation="tanh"),
            *between,
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer or keras.optimizers.SGD(0.1), loss, metrics=["accuracy"], **options)
    return model


def _image(*layers: Any) -> Any:
    """Return a small network whose layers see images."""
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), *layers, keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    )
    model.compile(keras.optimizers.SGD(0.1), _LOSS, metrics=["accuracy"])
    return model


def _by(cls: str, rate: float = 0.01, **options: Any) -> Callable[[], Any]:
    return lambda: _dense(optimizer=getattr(keras.optimizers, cls)(rate, **options))


def _schedule() -> Any:
    return keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=2, decay_rate=0.5)


def _smoothed() -> Any:
    return _dense(loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1))


def _own_loss(true: Any, predicted: Any) -> Any:
    return keras.ops.mean(keras.ops.square(keras.ops.one_hot(keras.ops.reshape(true, (-1,)), 10) - predicted), axis=-1)


OPTIONS: dict[str, Callable[[], Any]] = {
    "sgd": _by("SGD", 0.1),
    "momentum": _by("SGD", 0.1, momentum=0.9),
    "nesterov": _by("SGD", 0.1, momentum=0.9, nesterov=True),
    "adam": _by("Adam"),
    "amsgrad": _by("Adam", amsgrad=True),
    "adamw": _by("AdamW", weight_decay=0.01),
    "rmsprop centered": _by("RMSprop", centered=True, momentum=0.5),
    "adagrad": _by("Adagrad"),
    "adadelta": _by("Adadelta", 1.0),
    "adamax": _by("Adamax"),
    "nadam": _by("Nadam"),
    "ftrl": _by("Ftrl", 0.1),
    "lion": _by("Lion", 0.001),
    "weight decay": _by("SGD", 0.1, weight_decay=0.01),
    "clipnorm": _by("SGD", 0.1, clipnorm=0.05),
    "clipvalue": _by("SGD", 0.1, clipvalue=0.01),
    "global clipnorm": _by("SGD", 0.1, global_clipnorm=0.1),
    "adam, global clipnorm": _by("Adam", global_clipnorm=0.1),
    "ema": _by("SGD", 0.1, use_ema=True, ema_momentum=0.5),
    "ema that overwrites": _by("SGD", 0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
    "accumulation": _by("SGD", 0.1, gradient_accumulation_steps=2),
    "schedule": lambda: _dense(optimizer=keras.optimizers.SGD(_schedule())),
    "label smoothing": _smoothed,
    "sum": lambda: _dense(
        loss=keras.losses.SparseCategoricalCrossentropy(reduction="sum"), optimizer=keras.optimizers.SGD(0.01)
    ),
    "loss of one's own": lambda: _dense(loss=_own_loss),
    "ignored class": lambda: _dense(loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=9)),
    "kernel regularizer": lambda: _dense(first=keras.layers.Dense(8, "tanh", kernel_regularizer="l2")),
    "activity regularizer": lambda: _dense(first=keras.layers.Dense(8, "tanh", activity_regularizer="l1")),
    "constraint": lambda: _dense(first=keras.layers.Dense(8, "tanh", kernel_constraint=keras.constraints.MaxNorm(0.5))),
    "frozen": lambda: _dense(first=keras.layers.Dense(8, "tanh", trainable=False)),
    "added loss, mean": lambda: _dense(Penalty("mean")),
    "added loss, sum": lambda: _dense(Penalty("sum")),
    "layer normalization": lambda: _dense(keras.layers.LayerNormalization()),
    "batch normalization": lambda: _dense(keras.layers.BatchNormalization(momentum=0.9)),
    "group normalization": lambda: _dense(keras.layers.GroupNormalization(2)),
    "prelu": lambda: _dense(keras.layers.PReLU()),
    "convolution, pooling": lambda: _image(keras.layers.Conv2D(3, 3, activation="relu"), keras.layers.MaxPooling2D(2)),
    "watched convolution": lambda: _image(
        keras.layers.Conv2D(3, 3, activation="relu", activity_regularizer="l2"), keras.layers.MaxPooling2D(2)
    ),
    "depthwise": lambda: _image(keras.layers.DepthwiseConv2D(3, activation="relu")),
    "separable": lambda: _image(keras.layers.SeparableConv2D(3, 3, activation="elu"), keras.layers.MaxPooling2D(2)),
    "transposed": lambda: _image(keras.layers.Conv2DTranspose(2, 3), keras.layers.AveragePooling2D(2)),
    "lstm": lambda: _image(keras.layers.Reshape((28, 28)), keras.layers.LSTM(4, return_sequences=True)),
    "attention": lambda: _image(keras.layers.Reshape((28, 28)), _SelfAttention()),
}
# Rows that tf.distribute may compute otherwise: what optimizers do, and sums over replicas.
OPTIMIZED = [*list(OPTIONS)[: list(OPTIONS).index("label smoothing")], "sum", "added loss, sum", "batch normalization"]
# Rows whose statistics are those of the global batch only with --sync-batch-norm.
NORMALIZED = {"batch normalization"}
# Rows that `make test` trains with several replicas; `make test-long` adds the others. Of the optimizers, those that do
# more than a step for each weight: rules over all gradients, averages, counts of steps, and refusals. Then what is a
# sum over samples. In the other rows, replicas do what one process does.
_REPLICATED = {
    *("sgd", "adam", "clipnorm", "global clipnorm", "ema", "ema that overwrites", "accumulation", "schedule", "sum"),
    "added loss, sum",
}
_SUMS = {"ignored class", "kernel regularizer", "activity regularizer", "frozen", "added loss, mean"}
LONG = {
    # what keeps an average of gradients as Adam or Adagrad does; ranks of Horovod train the rest of these rows
    "serial": {"adadelta", "adamax", "amsgrad", "weight decay"} | _REPLICATED - {"adam", "added loss, sum"},
    "horovod": set(OPTIONS) - _REPLICATED - _SUMS,
    "mirrored": set(OPTIONS) - _REPLICATED - {"weight decay", *NORMALIZED},
    # the same code of TensorFlow's two strategies
    "multiworker": set(OPTIONS) - {"adam", "ema that overwrites", "accumulation", "sum", "added loss, sum"},
}


class _SelfAttention(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.attention = keras.layers.MultiHeadAttention(2, 4)

    def call(self, inputs: Any) -> Any:
        return self.attention(inputs, inputs)


def build(row: str) -> Any:
    """Return the model of one row of the table."""
    return OPTIONS[row]()
