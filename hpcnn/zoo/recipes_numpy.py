"""The recipes of the networks in NumPy of SciNet's lecture of 25 September 2017.

Pure data; the networks are in ``models/numpy/networks.py``. Must not import NumPy.
"""

from __future__ import annotations

from functools import partial

from hpcnn.zoo.recipe import Recipe

_BEST = "The lecture keeps the weights with the best training accuracy; the figures are theirs, not the last epoch's."
_ALL = "Every step takes all samples and sums over them, so an epoch is one step."

_NUMPY = partial(
    Recipe,
    source="SciNet, E. Spence, 2017",
    framework="numpy",
    optimizer="sgd",
    momentum=0.0,
)
_HIDDEN = partial(_NUMPY, factory="hpcnn.models.numpy.networks:hidden", loss="binary_crossentropy")
_DIGITS = partial(
    _HIDDEN,
    input_shape=(784,),
    classes=10,
    parameters=23_860,
    trainable=23_860,
    data="mnist",
    samples=500,
    test_samples=100,
    pixel_scale="unit",
    learning_rate=4e-5,
    batch_size=500,
    epochs=20_000,
)

_CODED = (
    "The slide derives the quadratic cost (--loss mean_squared_error); the listing drops the factor of the output's "
    "sigmoid, which makes its gradient that of the two-sided cross-entropy."
)
_LISTING = "The listing defines sigma_prime and calls sigmaprime, and is Python 2."
_COUNT = "The lecture counts 23,572 weights, with 2 outputs for 10 and 10 hidden neurons for 30."
_UNIT = "Not from the lecture: pixels of 0 to 1. With 0 to 255 its training accuracies are not reached."
_MORE = "The logged training accuracies of 0.647 and 0.723 are no multiples of 1/500: that log had more samples."

RECIPES = (
    _NUMPY(
        id="scinet-beach",
        title="One neuron in NumPy that goes to the beach or not",
        input_shape=(3,),
        classes=2,
        parameters=4,
        trainable=4,
        factory="hpcnn.models.numpy.networks:neuron",
        arguments={"l2": 0.0},
        data="beach",
        samples=None,
        test_samples=None,
        pixel_scale="raw",
        learning_rate=0.5,
        loss="mean_squared_error",
        batch_size=7,
        epochs=100,
        reported={},
        slips=(
            "The lecture's neuron has a threshold, which no gradient passes, and is not trained. This one has a "
            "sigmoid; its output, rounded, is that of the threshold.",
            "Not from the lecture: learning rate and epochs. The test set is the training set.",
        ),
    ),
    _NUMPY(
        id="scinet-neuron",
        title="One neuron in NumPy, on two clouds of points",
        input_shape=(2,),
        classes=2,
        parameters=3,
        trainable=3,
        factory="hpcnn.models.numpy.networks:neuron",
        arguments={"l2": 0.0},
        data="blobs",
        samples=None,
        test_samples=None,
        pixel_scale="raw",
        learning_rate=5e-5,
        loss="mean_squared_error",
        batch_size=400,
        epochs=10_000,
        reported={"train_accuracy": 0.872, "test_accuracy": 0.88},
        slips=(
            _BEST,
            _ALL,
            "The lecture draws the points without a seed: how well they can be told apart differs from draw to draw.",
            "The logged test accuracy, 0.88026, is no multiple of 1/100: it is of another split.",
        ),
    ),
    _HIDDEN(
        id="scinet-hidden",
        title="One hidden layer in NumPy, on two circles of points",
        input_shape=(2,),
        classes=2,
        parameters=52,
        trainable=52,
        arguments={"numnodes": 10, "l2": 0.0},
        data="circles",
        samples=None,
        test_samples=None,
        pixel_scale="raw",
        learning_rate=0.01,
        batch_size=400,
        epochs=10_000,
        reported={"train_accuracy": 0.860, "test_accuracy": 0.73},
        slips=(_BEST, _ALL, "The lecture draws the points without a seed.", _CODED, _LISTING),
    ),
    _DIGITS(
        id="scinet-hidden-mnist",
        title="One hidden layer in NumPy, on 500 digits: over-fitting",
        arguments={"numnodes": 30, "l2": 0.0},
        reported={"train_accuracy": 0.988, "test_accuracy": 0.82},
        slips=(_BEST, _ALL, _UNIT, _MORE, _COUNT, _CODED, _LISTING),
    ),
    _DIGITS(
        id="scinet-hidden-mnist-l2",
        title="The same with L2 regularization",
        arguments={"numnodes": 30, "l2": 5.0},
        reported={"train_accuracy": 0.932, "test_accuracy": 0.87},
        slips=(_BEST, _ALL, _UNIT, _COUNT, _CODED, _LISTING),
    ),
)
