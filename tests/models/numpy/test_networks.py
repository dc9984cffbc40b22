"""The networks in NumPy: their gradients against differences and against Keras, gradient descent, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from hpcnn.models.numpy.costs import COSTS, sigmoid
from hpcnn.models.numpy.networks import Hidden, Neuron
from hpcnn.models.registry import build, build_numpy
from hpcnn.specs.numpy_options import check_options
from hpcnn.specs.train import TrainSpec
from hpcnn.train.numpy.descent import Descent, score
from hpcnn.util.errors import UsageError
from hpcnn.zoo.registry import RECIPES, in_numpy

NAMES = [name for name in RECIPES if in_numpy(name)]


def samples(count, features, classes):
    """Return points (count, features) and labels (count,), the same each time."""
    random = np.random.default_rng(0)
    return random.normal(size=(count, features)), random.integers(0, classes, count)


def made(kind, loss, l2):
    """Return a small network of a kind, its weights none of them 0, and samples for it."""
    if kind == "neuron":
        network = build_numpy("scinet-neuron", input_shape=(3,), loss=loss, arguments={"l2": l2}, seed=3)
        return network, *samples(7, 3, 2)
    arguments = {"l2": l2, "numnodes": 4}
    network = build_numpy("scinet-hidden", input_shape=(3,), classes=5, loss=loss, arguments=arguments, seed=3)
    random = np.random.default_rng(1)
    network.weights = {name: w + 0.1 * random.normal(size=w.shape) for name, w in network.weights.items()}
    return network, *samples(7, 3, 5)


both_kinds = pytest.mark.parametrize("kind", ["neuron", "hidden"])
both_losses = pytest.mark.parametrize("loss", COSTS)
with_and_without_l2 = pytest.mark.parametrize("l2", [0.0, 0.7])


def numerical_gradients(network, x, labels, step=1e-6):
    """Return the central differences of the total cost by each weight."""
    found = {}
    for name, weight in network.weights.items():
        gradient = np.zeros_like(weight)
        for place in np.ndindex(weight.shape):
            costs = []
            for sign in (1, -1):
                moved = weight.copy()
                moved[place] += sign * step
                other = type(network)({**network.weights, name: moved}, network.cost, network.l2)
                costs.append(other.total_cost(x, labels))
            gradient[place] = (costs[0] - costs[1]) / (2 * step)
        found[name] = gradient
    return found


@both_kinds
@both_losses
@with_and_without_l2
def test_gradients_are_those_of_differences(kind, loss, l2):
    network, x, labels = made(kind, loss, l2)
    found = network.gradients(x, labels, network.forward(x))
    expected = numerical_gradients(network, x, labels)
    assert found.keys() == network.weights.keys()
    for name in found:
        assert found[name].shape == network.weights[name].shape
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=1e-8, err_msg=name)


@both_kinds
@both_losses
@with_and_without_l2
def test_cost_and_gradients_are_those_of_the_same_network_in_keras(kind, loss, l2):
    keras = pytest.importorskip("keras")
    import tensorflow as tf

    network, x, labels = made(kind, loss, l2)
    regularizer = keras.regularizers.L2(0.5 * l2)  # Keras's strength has no 1/2
    sizes = [len(b) for name, b in network.weights.items() if name[0] == "b"]
    layers = [keras.layers.Dense(n, "sigmoid", kernel_regularizer=regularizer, dtype="float64") for n in sizes]
    model = keras.Sequential([keras.Input((3,), dtype="float64"), *layers])
    shapes = [tuple(w.shape) for w in model.trainable_weights]
    values = list(network.weights.values())
    model.set_weights([w.T.reshape(shape) for w, shape in zip(values, shapes, strict=True)])
    target = network.targets(labels).T.reshape(len(x), -1)
    # Keras's mean over the outputs, and no 1/2 in its squares
    factor = target.shape[1] * (0.5 if loss == "mean_squared_error" else 1.0)
    cost_of = {
        "mean_squared_error": keras.losses.MeanSquaredError(reduction="sum", dtype="float64"),
        "binary_crossentropy": keras.losses.BinaryCrossentropy(reduction="sum", dtype="float64"),
    }[loss]
    with tf.GradientTape() as tape:
        cost = factor * cost_of(target, model(x)) + sum(model.losses)
    gradients = tape.gradient(cost, [w.value for w in model.trainable_weights])

    # Keras clips probabilities 1e-7 away from 0 and 1
    assert network.total_cost(x, labels) == pytest.approx(float(cost), rel=1e-6)
    own = network.gradients(x, labels, network.forward(x))
    for name, shape, gradient in zip(own, shapes, gradients, strict=True):
        np.testing.assert_allclose(own[name].T.reshape(shape), gradient, rtol=1e-6, atol=1e-12, err_msg=name)


def test_the_cost_is_finite_where_a_sigmoid_rounds_to_0_or_1():
    z = np.array([-1000.0, 1000.0])
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(z).tolist() == [0.0, 1.0]
        assert COSTS["binary_crossentropy"].value(z, np.array([1.0, 1.0])) == 1000.0


def test_one_step_of_the_lecture_by_hand():
    """One neuron, one sample: w = b = 0, so f = 1/2, and (f - v) f (1 - f) = -1/8."""
    network = Neuron({"w": np.zeros(2), "b": np.zeros(1)}, COSTS["mean_squared_error"], 0.0)
    x, labels = np.array([[3.0, -1.0]]), np.array([1])
    network.descend(network.gradients(x, labels, network.forward(x)), 0.8)
    assert network.weights["w"] == pytest.approx((0.3, -0.1))
    assert network.weights["b"] == pytest.approx((0.1,))


def test_l2_shrinks_weights_and_leaves_biases_alone():
    """The lecture's rule: w becomes (1 - eta lambda) w - eta dw."""
    network, x, labels = made("hidden", "binary_crossentropy", 5.0)
    plain, *_ = made("hidden", "binary_crossentropy", 0.0)
    before = network.weights
    for one in (network, plain):
        one.descend(one.gradients(x, labels, one.forward(x)), 0.01)
    assert network.weights["w1"] == pytest.approx(plain.weights["w1"] - 0.05 * before["w1"])
    assert network.weights["b2"] == pytest.approx(plain.weights["b2"])


def descended(epochs, **options):
    """Return a descent on 50 random samples after so many epochs, their scores, and the samples."""
    network = build_numpy("scinet-hidden", seed=options.pop("seed", 1), input_shape=(3,), classes=4)
    x, labels = samples(50, 3, 4)
    keywords = {"learning_rate": 0.05, "batch_size": 50, "seed": 1, **options}
    descent = Descent(network, x, labels, **keywords)
    return descent, [descent.epoch(number, lambda step: None) for number in range(1, epochs + 1)], (x, labels)


def test_the_best_weights_are_a_snapshot_with_their_accuracy():
    descent, scores, (x, labels) = descended(60)
    best = descent.best
    assert best.score.accuracy == max(s.accuracy for s in scores) > scores[-1].accuracy
    assert scores[best.epoch - 1] == best.score
    descent.network.weights = best.weights
    assert score(descent.network, descent.network.forward(x), labels) == best.score


def test_a_seed_fixes_everything_and_another_changes_it():
    first, again, other = (descended(3, seed=seed)[0].network.weights for seed in (1, 1, 2))
    assert all((first[name] == again[name]).all() for name in first)
    assert not np.allclose(first["w1"], other["w1"])


def test_smaller_batches_are_steps_on_sums_of_their_own():
    whole, half = descended(1)[0], descended(1, batch_size=25)[0]
    assert not np.allclose(whole.network.weights["w1"], half.network.weights["w1"])
    # to first order, two half steps are one whole step
    one, two = (descended(1, batch_size=size, learning_rate=1e-7)[0].network.weights for size in (50, 25))
    start = descended(0)[0].network.weights
    for name in start:
        np.testing.assert_allclose(one[name] - start[name], two[name] - start[name], rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_builds_its_network(name):
    recipe = RECIPES[name]
    network = build_numpy(name)
    assert network.parameters == recipe.parameters == recipe.trainable
    assert isinstance(network, Neuron if name in ("scinet-beach", "scinet-neuron") else Hidden)
    assert network.cost is COSTS[recipe.loss]
    assert network.l2 == recipe.arguments["l2"]


def test_the_lectures_parameter_counts():
    assert {name: RECIPES[name].parameters for name in NAMES} == {
        "scinet-beach": 4,
        "scinet-neuron": 3,
        "scinet-hidden": 52,
        "scinet-hidden-mnist": 23_860,
        "scinet-hidden-mnist-l2": 23_860,
    }


def test_what_needs_keras_says_so():
    with pytest.raises(UsageError, match="scinet-neuron is written in NumPy, and this needs a Keras model"):
        build("scinet-neuron")


@pytest.mark.parametrize(
    ("name", "keywords", "message"),
    [
        ("scinet-neuron", {"classes": 10}, "one output tells 2 classes apart, not 10"),
        ("scinet-hidden", {"arguments": {"numnodes": 0}}, "numnodes must be a whole number from 1 on, not 0"),
        ("scinet-hidden", {"arguments": {"l2": -1}}, "l2 must be a number from 0 on, not -1"),
        ("scinet-hidden", {"arguments": {"nodes": 3}}, "argument of model scinet-hidden: 'nodes' is not known"),
    ],
)
def test_values_that_cannot_be_built_are_refused(name, keywords, message):
    with pytest.raises(UsageError, match=message):
        build_numpy(name, **keywords)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("strategy", "horovod", "--strategy: 'horovod' is not valid; expected 'serial' with scinet-hidden"),
        ("optimizer", "adam", "--optimizer: 'adam' is not valid; expected 'sgd' with scinet-hidden"),
        ("momentum", 0.9, "--momentum: 0.9 is not valid; expected no value with scinet-hidden"),
        ("precision", "bfloat16", "--precision: 'bfloat16' is not valid; expected 'float32'"),
        ("lr_scaling", "linear", "--lr-scaling: 'linear' is not valid; expected 'none'"),
        ("sync_batch_norm", True, "--sync-batch-norm: True is not valid; expected no value"),
        ("tensorboard", True, "--tensorboard: True is not valid; expected no value"),
        ("checkpoint", True, "--checkpoint: True is not valid; expected no value"),
        ("loss", "categorical_crossentropy", "--loss with scinet-hidden: 'categorical_crossentropy' is not known"),
    ],
)
def test_options_that_it_cannot_follow_are_refused(field, value, message):
    with pytest.raises(UsageError) as caught:
        check_options(TrainSpec(model="scinet-hidden", **{field: value}))
    assert str(caught.value).startswith(message)
    check_options(TrainSpec(model="scinet-cnn1", **{field: value}))


def test_options_that_it_can_follow_are_not():
    check_options(
        TrainSpec(model="scinet-hidden", optimizer="sgd", momentum=0.0, loss="mean_squared_error", batch_size=10)
    )
