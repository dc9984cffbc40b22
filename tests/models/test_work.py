"""Operations and bytes of a network: against counts by hand, and against the operations in TensorFlow's graph."""

from __future__ import annotations

import pytest

from hpcnn.models import registry
from hpcnn.models.work import work_of

keras = pytest.importorskip("keras")

# id: operations of a forward pass and of a training step for one sample, by hand.
# scinet-cnn1: convolution 24*24*20 outputs x 5*5, dense 2880*100 and 100*10.
# psc-cnn-dropout: convolutions 26*26*32 x 9 and 24*24*64 x 9*32, dense 9216*128 and 128*10.
# A training step is three times that, less the first layer once: its inputs need no gradient.
BY_HAND = {
    "scinet-cnn1": (2 * (288_000 + 288_000 + 1_000), 3 * 2 * 577_000 - 2 * 288_000),
    "psc-cnn-dropout": (
        2 * (194_688 + 10_616_832 + 1_179_648 + 1_280),
        3 * 2 * 11_992_448 - 2 * 194_688,
    ),
    "scinet-dense-tanh": (2 * (784 * 30 + 30 * 10), 3 * 2 * 23_820 - 2 * 23_520),
}
# Operations of TensorFlow: which of their inputs and outputs are the kernel, and the output (or its gradient).
CONVOLUTIONS = {"Conv2D": (1, 2), "Conv2DBackpropInput": (1, 2), "Conv2DBackpropFilter": (3, 2)}
CONVOLUTIONS |= {name.replace("Conv2D", "DepthwiseConv2dNative"): places for name, places in CONVOLUTIONS.items()}


@pytest.mark.parametrize("name", BY_HAND)
def test_operations_are_those_counted_by_hand(name: str) -> None:
    work = work_of(registry.build(name))
    assert (work.forward, work.training) == BY_HAND[name]
    assert work.unknown == []


@pytest.mark.parametrize("name", ["scinet-functional", "psc-cnn-batchnorm", "psc-mirrored", "wolter-cifar10-cnn"])
def test_a_training_step_is_the_sum_over_the_operations_of_its_graph(name: str) -> None:
    model = registry.build(name)
    assert work_of(model).training == operations_in_graph(model)


def operations_in_graph(model) -> int:
    """Return the operations of the matrix products and convolutions of one training step on one sample."""
    import tensorflow as tf

    @tf.function(autograph=False)
    def gradients(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x, training=True))
        return tape.gradient(loss, [v.value for v in model.trainable_variables])

    graph = gradients.get_concrete_function(tf.TensorSpec([1, *model.input_shape[1:]], tf.float32)).graph
    wanted = {tensor.name for tensor in graph.outputs}
    total = 0
    for operation in graph.get_operations():
        shapes = [tensor.shape for tensor in (*operation.inputs, *operation.outputs)]
        if not operation.outputs or not (operation.outputs[0].consumers() or operation.outputs[0].name in wanted):
            continue  # TensorFlow leaves out what nobody asks for: the gradient of the first layer's inputs
        if operation.type == "MatMul":
            rows = shapes[0][0 if operation.get_attr("transpose_a") else 1]
            total += 2 * rows * shapes[2].num_elements()
        elif operation.type in CONVOLUTIONS:
            kernel, output = (shapes[at] for at in CONVOLUTIONS[operation.type])
            total += 2 * kernel.num_elements() * output[1] * output[2]
    return total


def test_bytes_are_inputs_outputs_and_weights_of_every_pass() -> None:
    work = work_of(registry.build("scinet-dense-tanh"))
    # hidden: forward and gradient of the weights; output: also gradient of its inputs. With 784, 30 and 10 values.
    assert work.values == 2 * (784 + 30) + 3 * (30 + 10)
    assert work.weights == 2 * (784 * 30 + 30) + 3 * (30 * 10 + 10)
    assert work.facts("float32")["bytes_per_sample"] == 4 * work.values
    assert work.facts("bfloat16")["bytes_per_step"] == 2 * work.weights


def test_a_frozen_layer_has_no_gradient_of_its_weights_and_nothing_before_it_any() -> None:
    model = registry.build("scinet-dense-tanh")
    model.get_layer("hidden").trainable = False
    # both forward, and of the output layer the gradient of its weights
    assert work_of(model).training == 2 * (784 * 30) + 2 * 2 * (30 * 10)


def test_branches_and_a_layer_that_is_called_twice_are_counted() -> None:
    inputs = keras.Input((8,))
    shared = keras.layers.Dense(8, use_bias=False)
    once = shared(inputs)
    outputs = keras.layers.Add()([once, shared(once)])
    # first call: forward and weights; second call: inputs too
    assert work_of(keras.Model(inputs, outputs)).training == (2 + 3) * 2 * 64


@pytest.mark.parametrize(
    ("layers", "forward"),
    [
        (lambda layers: layers.Conv2D(6, 3, groups=2), 2 * (6 * 6 * 6) * (3 * 3 * 2)),
        (lambda layers: layers.DepthwiseConv2D(3, depth_multiplier=2), 2 * (6 * 6 * 8) * (3 * 3)),
        (lambda layers: layers.Conv2DTranspose(5, 2, strides=2), 2 * (8 * 8 * 4) * (2 * 2 * 5)),
        (lambda layers: layers.Dense(7), 2 * (8 * 8) * (4 * 7)),
        (lambda layers: layers.SeparableConv2D(6, 3, depth_multiplier=2), 2 * (6 * 6 * 8) * (3 * 3 + 6)),
    ],
)
def test_other_products_are_counted(layers, forward: int) -> None:
    model = keras.Sequential([keras.Input((8, 8, 4)), layers(keras.layers)])
    assert work_of(model).forward == forward


def test_models_in_a_model_are_counted_where_they_are_called() -> None:
    inner = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, use_bias=False)])
    inputs = keras.Input((8,))
    # first call: forward and weights; second call: inputs too
    assert work_of(keras.Model(inputs, inner(inner(inputs)))).training == (2 + 3) * 2 * 64


def test_a_separable_convolution_is_two_steps() -> None:
    layer = keras.layers.SeparableConv2D(6, 3, use_bias=False)
    model = keras.Sequential([keras.Input((8, 8, 4)), layer, keras.layers.GlobalAveragePooling2D()])
    assert work_of(model).training == operations_in_graph(model)
    # 8 x 8 x 4 values are read, 6 x 6 x 4 written and read, 6 x 6 x 6 written: forward, and gradient of the weights
    assert work_of(model).values == 2 * (256 + 2 * 144 + 216) + 2 * (216 + 6)


def test_functions_in_a_graph_are_known_or_named() -> None:
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(8, use_bias=False)(inputs)
    assert work_of(keras.Model(inputs, hidden + hidden)).training == 2 * 2 * 64
    product = keras.ops.matmul(hidden, keras.ops.transpose(hidden))
    named = work_of(keras.Model(inputs, product)).unknown
    assert [name.partition("(")[2] for name in named] == ["Transpose)", "Matmul)"]


class Own(keras.layers.Layer):
    def call(self, x):
        return x @ x


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (lambda: keras.Sequential([keras.Input((4, 4)), Own(name="mine"), keras.layers.Flatten()]), "mine (Own)"),
        (lambda: keras.Sequential([keras.Input((4, 4)), keras.layers.LSTM(3, name="cell")]), "cell (LSTM)"),
        (lambda: Subclassed(name="whole"), "whole (Subclassed)"),
        (
            lambda: keras.Sequential([keras.Input((4, 4)), keras.Sequential([Own(name="mine")], name="inner")]),
            "mine (Own)",
        ),
        (
            lambda: keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 3, name="any")]),
            "any (Conv2D)",
        ),
    ],
)
def test_what_cannot_be_counted_is_named_and_gives_no_number(model, named: str) -> None:
    facts = work_of(model()).facts("float32")
    assert facts.pop("not_counted") == [named]
    assert set(facts.values()) == {None}
