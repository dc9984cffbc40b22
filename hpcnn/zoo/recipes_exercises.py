"""The recipes for data sets that the lectures give as exercises, and for several inputs and outputs.

Pure data; the factories are in ``models/exercises.py``, ``psc.py`` and ``scinet.py``. Must not import Keras.
"""

from __future__ import annotations

from functools import partial

from hpcnn.zoo.recipe import Recipe

_OWN = "The lecture gives the data set as an exercise, and no network: all of this recipe is hpcnn's."

_EXERCISE = partial(
    Recipe,
    source="PSC, J. Urbanic, Deep Learning in an Afternoon (exercise)",
    samples=None,
    test_samples=None,
    pixel_scale="raw",
    learning_rate=0.001,
    momentum=0.0,
    reported={},
    slips=(_OWN,),
)
_TEXT = partial(
    _EXERCISE,
    input_shape=(256,),
    classes=2,
    data="imdb",
    optimizer="adam",
    loss="binary_crossentropy",
)

RECIPES = (
    Recipe(
        id="lenet",
        title="LeNet-5's layout with ReLU: 99 % in two passes over MNIST",
        source="hpcnn, after LeCun et al., 1998",
        input_shape=(28, 28, 1),
        classes=10,
        parameters=80_202,
        trainable=80_202,
        factory="hpcnn.models.exercises:lenet",
        arguments={"numfm": 16, "numnodes": 128},
        data="mnist",
        samples=None,
        test_samples=None,
        pixel_scale="unit",
        optimizer="sgd",
        learning_rate=0.05,
        momentum=0.9,
        loss="sparse_categorical_crossentropy",
        batch_size=64,
        epochs=3,
        reported={},
        slips=("No lecture's network: the study `time_to_accuracy` trains it.",),
    ),
    _TEXT(
        id="imdb-embedding",
        title="Film reviews: the mean of what the words are worth",
        parameters=160_289,
        trainable=160_289,
        factory="hpcnn.models.exercises:text_embedding",
        arguments={"words": 10_000, "numdim": 16, "numnodes": 16},
        batch_size=512,
        epochs=30,
    ),
    _TEXT(
        id="imdb-conv1d",
        title="Film reviews: a convolution over five words in a row",
        parameters=334_529,
        trainable=334_529,
        factory="hpcnn.models.exercises:text_conv1d",
        arguments={"words": 10_000, "numdim": 32, "numfm": 64, "numnodes": 64, "d_rate": 0.2},
        batch_size=128,
        epochs=4,
    ),
    _EXERCISE(
        id="reuters-dense",
        title="Newswires: two dense layers on which words there are",
        input_shape=(10_000,),
        classes=46,
        parameters=647_214,
        trainable=647_214,
        factory="hpcnn.models.psc:fc",
        arguments={"numnodes": 64, "hidden_layers": 2},
        data="reuters",
        optimizer="rmsprop",
        loss="sparse_categorical_crossentropy",
        batch_size=512,
        epochs=9,
    ),
    _EXERCISE(
        id="housing-dense",
        title="House prices: two dense layers and a linear output",
        input_shape=(13,),
        classes=1,
        parameters=5_121,
        trainable=5_121,
        factory="hpcnn.models.exercises:regression",
        arguments={"numnodes": 64, "hidden_layers": 2},
        data="boston_housing",
        optimizer="rmsprop",
        loss="mean_squared_error",
        batch_size=16,
        epochs=100,
    ),
    Recipe(
        id="scinet-two-inputs",
        title="Two inputs, two outputs, a loss for each",
        source="SciNet, E. Spence, 2024 and 2026",
        input_shape={"upper": (14, 28, 1), "lower": (14, 28, 1)},
        classes={"digit": 10, "odd": 2},
        parameters=243_351,
        trainable=243_351,
        factory="hpcnn.models.scinet:two_inputs",
        arguments={"numfm": 20, "numnodes": 100, "second_weight": 0.2},
        data="halves",
        samples=None,
        test_samples=None,
        pixel_scale="unit",
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.0,
        loss=None,
        batch_size=128,
        epochs=30,
        reported={},
        slips=(
            "The lectures say how several losses, their weights and a loss of one's own are given to compile(), with "
            "the weights 1.0 and 0.2, and list no network: all of this recipe is hpcnn's.",
        ),
    ),
)
