"""What the lectures work out by hand: a forward pass, a softmax, a cross-entropy, a convolution.

PSC, J. Urbanic, Deep Learning in an Afternoon; the convolution is that of Stanford's CS231n, which PSC's lecture shows.
"""

from __future__ import annotations

import numpy as np
import pytest

from hpcnn.data.registry import load
from hpcnn.models.numpy.costs import COSTS, sigmoid
from hpcnn.models.numpy.networks import Hidden
from hpcnn.models.registry import build, build_numpy
from hpcnn.util.errors import UsageError

X = np.array([[0.5, 0.9, -0.3]])
W1 = np.array([[1, -2, 2], [2, 1, -4], [1, -1, 0]], float)
W2 = np.array([[-3, 1, -3], [0, 1, 2]], float)


def toy(bias=0.0):
    """Return the lecture's network of 3 inputs, 3 hidden neurons and 2 outputs, with one bias for all hidden ones."""
    weights = {"w1": W1, "b1": np.full((3, 1), bias), "w2": W2, "b2": np.zeros((2, 1))}
    return Hidden(weights, COSTS["mean_squared_error"], 0.0)


@pytest.mark.parametrize(
    ("bias", "sums", "activations"),
    # with the bias the slide rounds the last activation, 0.4256, to 0.4
    [(0.0, (-1.9, 3.1, -0.4), (0.13, 0.96, 0.40)), (0.1, (-1.8, 3.2, -0.3), (0.14, 0.96, 0.43))],
)
def test_hidden_layer_of_the_3_3_2_network(bias, sums, activations):
    hidden = toy(bias).forward(X).hidden[:, 0]
    assert np.log(hidden / (1 - hidden)) == pytest.approx(sums)
    assert hidden.round(2).tolist() == list(activations)


def test_outputs_of_the_3_3_2_network():
    # the lecture goes on with the rounded activations
    z = W2 @ [0.13, 0.96, 0.40]
    assert z == pytest.approx((-0.63, 1.76))
    assert sigmoid(z).round(2).tolist() == [0.35, 0.85]
    assert toy().forward(X).a[:, 0] == pytest.approx((0.35, 0.85), abs=0.005)


def test_the_3_3_2_network_in_keras():
    pytest.importorskip("keras")
    model = build("psc-toy-3-3-2")
    assert model.count_params() == 15
    assert np.asarray(model(X))[0] == pytest.approx(toy().forward(X).a[:, 0], rel=1e-6)
    biased = build("psc-toy-3-3-2", arguments={"hidden_bias": 0.1})
    assert np.asarray(biased(X))[0] == pytest.approx(toy(0.1).forward(X).a[:, 0], rel=1e-6)


def test_the_3_3_2_network_has_its_weights_for_no_other_shape():
    pytest.importorskip("keras")
    with pytest.raises(UsageError, match="3 inputs and 2 outputs"):
        build("psc-toy-3-3-2", input_shape=(4,))


def test_a_threshold_neuron_decides_the_seven_days_on_the_beach():
    # hot - windy - 1/2: the weights that the lecture's table asks for
    days = load("beach")
    neuron = build_numpy("scinet-beach")
    assert neuron.parameters == 4
    neuron.weights = {"w": np.array([0.0, 1.0, -1.0]), "b": np.array([-0.5])}
    passed = neuron.forward(days.x_train)
    assert ((passed.z >= 0) == days.y_train).all()
    assert (neuron.classes(passed) == days.y_train).all()


LOGITS = np.array([4.8, -2.6, 2.9])


def test_softmax():
    keras = pytest.importorskip("keras")
    assert np.exp(LOGITS) == pytest.approx((121.5, 0.074, 18.2), rel=5e-3)
    assert np.asarray(keras.ops.softmax(LOGITS)).round(2).tolist() == [0.87, 0.0, 0.13]


def test_cross_entropy_of_class_0():
    # the slide prints -0.13: the logarithm of 0.87, rounded, without the minus sign before it
    keras = pytest.importorskip("keras")
    one_hot = np.array([[1.0, 0.0, 0.0]])
    found = keras.losses.CategoricalCrossentropy(from_logits=True)(one_hot, LOGITS[None])
    assert float(found) == pytest.approx(-np.log(0.869), abs=1e-3)
    assert float(found) == pytest.approx(0.140, abs=1e-3)


def planes(*texts):
    """Return (rows, columns, planes) of texts with rows separated by semicolons."""
    return np.stack([[[int(n) for n in row.split()] for row in text.split(";")] for text in texts], axis=-1)


IMAGE = planes(
    "0 0 2 2 1; 1 2 2 1 2; 0 2 1 2 1; 2 2 1 1 1; 1 0 1 0 1",
    "1 1 0 2 0; 1 0 1 1 0; 2 2 0 2 0; 2 1 1 1 0; 1 1 2 1 1",
    "1 2 0 0 0; 0 2 1 0 0; 1 0 2 1 1; 2 1 0 2 2; 1 1 2 2 0",
)
FILTERS = np.stack(
    [
        planes("-1 0 -1; 0 0 -1; 0 -1 1", "0 1 -1; 1 0 1; -1 1 0", "1 -1 1; -1 -1 0; 1 0 1"),
        planes("1 0 1; -1 1 1; 1 1 1", "0 -1 1; 0 0 0; 1 0 0", "1 0 -1; 0 1 1; -1 1 -1"),
    ],
    axis=-1,
)
BIASES = np.array([1, 0])
MAPS = planes("5 2 0; 4 2 0; -1 0 -1", "4 8 3; 7 11 4; 3 7 4")


def test_convolution_by_hand():
    padded = np.pad(IMAGE, ((1, 1), (1, 1), (0, 0)))
    assert (5 - 3 + 2 * 1) // 2 + 1 == 3  # (in - N + 2 P) / S + 1
    found = [
        [np.einsum("abc,abcf->f", padded[r : r + 3, c : c + 3], FILTERS) + BIASES for c in (0, 2, 4)] for r in (0, 2, 4)
    ]
    assert np.array_equal(found, MAPS)


def test_convolution_in_keras():
    keras = pytest.importorskip("keras")
    layers = [keras.layers.ZeroPadding2D(1), keras.layers.Conv2D(2, 3, strides=2)]
    model = keras.Sequential([keras.Input((5, 5, 3)), *layers])
    model.set_weights([FILTERS, BIASES])
    assert model.count_params() == 3 * 3 * 3 * 2 + 2
    assert np.asarray(model(IMAGE[None].astype(np.float32)))[0].tolist() == MAPS.tolist()
