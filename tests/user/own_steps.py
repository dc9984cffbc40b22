"""Models with a step of their own, as a user would bring them: ``--model own_steps:NAME``."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

Shape = tuple[int, ...]


class OwnStep(keras.Model):  # type: ignore[misc]
    """Its step trains with gradients that are cut to one length, and keeps a mean of its own: ``size``.

    kind: mean, sum, or a mean over what is not class 9, of which no parts give the whole.
    """

    def __init__(self, *args: Any, kind: str = "mean", **more: Any) -> None:
        super().__init__(*args, **more)
        self.kind, self.size = kind, keras.metrics.Mean(name="size")

    def train_step(self, data: Any) -> Any:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            each = keras.losses.sparse_categorical_crossentropy(y, predicted)
            counted = tf.cast(tf.reshape(y, [-1]) != 9, each.dtype)
            losses = {"sum": tf.reduce_sum(each), "mean": tf.reduce_mean(each)}
            loss = losses.get(self.kind, tf.reduce_sum(each * counted) / tf.reduce_sum(counted))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.size.update_state(keras.ops.abs(predicted))
        self.compute_metrics(x, y, predicted)
        measured = self.get_metrics_result()
        return {"accuracy": measured["accuracy"], "size": self.size.result(), "raw": loss}


def own_step(input_shape: Shape, classes: int, kind: str = "mean", dropout: float = 0.0) -> Any:
    """Return a model whose step is its own."""
    inputs = keras.Input(input_shape)
    hidden = keras.layers.Dropout(dropout)(keras.layers.Flatten()(inputs))
    model = OwnStep(inputs, keras.layers.Dense(classes, "softmax")(hidden), kind=kind)
    optimizer = keras.optimizers.SGD(0.03 if kind == "sum" else 0.1, momentum=0.9, global_clipnorm=1.0)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class OfTheGuide(keras.Model):  # type: ignore[misc]
    """In the words of Keras's guide to one's own ``train_step``; its weights are made in the first step."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.flatten, self.head = keras.layers.Flatten(), keras.layers.Dense(classes, "softmax")

    def get_config(self) -> dict[str, Any]:
        return {"classes": self.head.units}

    def call(self, inputs: Any) -> Any:
        return self.head(self.flatten(inputs))

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=predicted)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, predicted)
        return {metric.name: metric.result() for metric in self.metrics}


def of_the_guide(classes: int) -> Any:
    """Return a model whose step is that of Keras's guide."""
    model = OfTheGuide(classes)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class LossByHand(keras.Model):  # type: ignore[misc]
    """Has a ``compute_loss`` of its own, without the argument ``training``, and a ``compile`` of its own."""

    def compile(self, optimizer: Any) -> None:
        super().compile(optimizer=optimizer, metrics=["accuracy"])

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
        return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, y_pred))


def loss_by_hand(input_shape: Shape, classes: int) -> Any:
    """Return a model that computes its loss itself."""
    inputs = keras.Input(input_shape)
    model = LossByHand(inputs, keras.layers.Dense(classes, "softmax")(keras.layers.Flatten()(inputs)))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    return model


class TwoNetworks(keras.Model):  # type: ignore[misc]
    """In the form of a GAN: two networks, each with an optimizer, and no ``call``."""

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__()
        self.first, self.second = first, second

    def get_config(self) -> dict[str, Any]:
        return {"first": self.first.get_config(), "second": self.second.get_config()}

    def compile(self, first: Any, second: Any) -> None:
        super().compile()
        self.first_optimizer, self.second_optimizer = first, second
        self.first_loss = keras.metrics.Mean(name="first_loss")
        self.second_loss = keras.metrics.Mean(name="second_loss")

    def train_step(self, data: Any) -> Any:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        targets = keras.ops.one_hot(keras.ops.reshape(y, (-1,)), 10)
        with tf.GradientTape() as tape:
            wrong = tf.reduce_mean(tf.square(self.first(x, training=True) - targets))
        weights = self.first.trainable_variables
        self.first_optimizer.apply(tape.gradient(wrong, weights), weights)
        with tf.GradientTape() as tape:
            apart = tf.reduce_mean(tf.square(self.second(x, training=True) - self.first(x)))
        weights = self.second.trainable_variables
        self.second_optimizer.apply(tape.gradient(apart, weights), weights)
        self.first_loss.update_state(wrong, tf.shape(x)[0])
        self.second_loss.update_state(apart, tf.shape(x)[0])
        return {"first_loss": self.first_loss.result(), "second_loss": self.second_loss.result()}


def two_networks(input_shape: Shape, classes: int) -> Any:
    """Return two networks that train together."""
    networks = [
        keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(classes)])
        for _ in range(2)
    ]
    model = TwoNetworks(*networks)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.Adam(0.01))
    return model


def watched(input_shape: Shape, classes: int) -> Any:
    """Return a convolution before a pooling, whose activated values have a penalty."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(4, 3, activation="relu", activity_regularizer=keras.regularizers.L2(0.1)),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
