"""Gradients of wide dense layers, made from factors instead of summed.

With one replica, what is gathered is its own, so factors must give the gradients that TensorFlow gives. That several
ranks end with the weights of one is in test_same_weights.py, case ``factors``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from hpcnn.parallel.serial import SingleReplica
from hpcnn.train.factors import Factors, factored_layers, pays
from hpcnn.train.tensors import sum_present


class Gathering(SingleReplica):
    """One replica that takes the way of several, and counts what it gathers."""

    gathers = True

    def __init__(self) -> None:
        self.gathered = 0

    def concatenate(self, tensor: Any, name: str) -> Any:
        self.gathered += 1
        return tensor


class InAFunction(keras.layers.Layer):  # type: ignore[misc]
    """A dense layer that its owner calls in a function of TensorFlow."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(300)
        self.compiled = tf.function(lambda inputs: self.dense(inputs))

    def build(self, shape: Any) -> None:
        self.dense.build(shape)

    def call(self, inputs: Any) -> Any:
        return self.compiled(inputs)

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], 300)


def wide(**options: Any) -> Any:
    return keras.layers.Dense(300, **options)


def model_of(*layers: Any, shape: tuple[int, ...] = (400,)) -> Any:
    return keras.Sequential([keras.Input(shape), *layers, keras.layers.Flatten(), keras.layers.Dense(3)])


MODELS: dict[str, tuple[Callable[[], Any], int, int]] = {  # how it is made, layers with factors, what is gathered
    "on the input": (lambda: model_of(wide(activation="relu")), 1, 2),
    "in the middle": (lambda: model_of(wide(), keras.layers.BatchNormalization(), wide(use_bias=False)), 2, 4),
    "with a penalty": (lambda: model_of(wide(kernel_regularizer=keras.regularizers.L2(0.1))), 1, 2),
    "frozen": (lambda: model_of(wide(trainable=False)), 0, 0),
    "narrow": (lambda: model_of(keras.layers.Dense(8)), 0, 0),
    "of a class of its own": (lambda: model_of(type("Own", (keras.layers.Dense,), {})(300)), 0, 0),
    "on sequences": (lambda: model_of(wide(), shape=(5, 400)), 1, 0),
    "in the user's own function": (lambda: model_of(InAFunction()), 1, 0),
    "nested": (lambda: model_of(keras.Sequential([wide(), wide()])), 2, 4),
}


def gradients_of(model: Any, strategy: SingleReplica, batch: int = 8) -> list[Any]:
    """Return the gradients of one step, made as the training step makes them."""
    layers = factored_layers(model, strategy, batch)
    draw = np.random.default_rng(1)
    model.set_weights([draw.normal(0, 0.05, weight.shape) for weight in model.get_weights()])
    x = np.random.default_rng(2).normal(size=(batch, *model.input_shape[1:])).astype("float32")

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step() -> Any:
        variables = model.trainable_variables
        factors = Factors(strategy, layers)
        with tf.GradientTape() as tape:
            with factors.kept():
                predicted = model(x, training=True)
            loss = tf.reduce_sum(tf.square(predicted)) + sum(model.losses)
        own = tape.gradient(loss, [v.value for v in variables])
        return factors.add_to(sum_present(strategy, own), variables)

    return [gradient.numpy() for gradient in step()]


@pytest.mark.parametrize("name", MODELS)
def test_factors_give_the_gradients_of_tensorflow(name: str) -> None:
    make, layers, gathered = MODELS[name]
    strategy = Gathering()
    model = make()
    assert len(factored_layers(model, strategy, 8)) == layers
    for one, other in zip(gradients_of(model, strategy), gradients_of(make(), SingleReplica()), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-4 * np.abs(other).max())
    assert strategy.gathered == gathered


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_gradients_have_the_type_of_the_weights(precision: str) -> None:
    keras.config.set_dtype_policy(precision)
    try:
        gradients = gradients_of(model_of(wide()), Gathering())
    finally:
        keras.config.set_dtype_policy("float32")
    assert {str(gradient.dtype) for gradient in gradients} == {"float32"}


def test_layers_keep_their_own_way_to_compute() -> None:
    model = model_of(wide())
    gradients_of(model, Gathering())
    assert "call" not in vars(model.layers[0])


@pytest.mark.parametrize(
    ("rows", "columns", "batch", "cores", "expected"),
    [
        (9216, 128, 32, 1, True),  # psc-cnn-dropout: 1.2 MB of factors for 4.7 MB, moved twice
        (9216, 128, 64, 1, False),  # one core would multiply longer than the ranks would send
        (9216, 128, 64, 2, False),  # 64 x 9344 numbers are more than a quarter of 2 x 9216 x 128
        (2880, 100, 128, 4, False),  # scinet-cnn1
        (4096, 4096, 128, 4, True),
    ],
)
def test_factors_are_sent_where_they_are_much_smaller(
    rows: int, columns: int, batch: int, cores: int, expected: bool
) -> None:
    assert pays(rows, columns, batch, cores) is expected
