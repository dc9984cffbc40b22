"""The model zoo's numbers of parameters: as the lectures print them or as counted by hand."""

import pytest

from hpcnn.models.registry import build
from hpcnn.zoo import registry
from tests.models.zoo_counts import COUNTS

keras = pytest.importorskip("keras")


def trainable(model):
    return sum(int(keras.ops.size(variable)) for variable in model.trainable_variables)


def test_the_zoo_is_the_lectures():
    assert {name for name in registry.RECIPES if not registry.in_numpy(name)} == set(COUNTS)
    assert all(registry.is_zoo(name) for name in COUNTS)
    assert not registry.is_zoo("my_net:build")


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    model = build(name)
    assert (model.count_params(), trainable(model)) == COUNTS[name]
    recipe = registry.recipe(name)
    assert (recipe.parameters, recipe.trainable) == COUNTS[name]
    if name == "scinet-two-inputs":
        assert model.input_shape == [(None, 14, 28, 1)] * 2
        assert model.output_shape == [(None, 10), (None, 1)]
    elif recipe.data == "climate":
        assert model.input_shape == (None, *recipe.input_shape)
        assert model.output_shape == (None, *recipe.input_shape[:2], recipe.classes)
    else:
        assert model.input_shape == (None, *recipe.input_shape)
        assert model.output_shape == (None, 1 if name.startswith("imdb") else recipe.classes)


@pytest.mark.parametrize("blocks", [1, 3, 6])
def test_resnet_counts_follow_from_its_depth(blocks):
    """Counted by hand: k*k*in*out + out of a convolution, 4 a channel of a normalization; n blocks in each stage."""

    def block(width, inputs, outputs):
        convolutions = inputs * width + width + 9 * width**2 + width + width * outputs + outputs
        return convolutions + 4 * (inputs + 2 * width)

    total = 3 * 9 * 16 + 16 + 4 * 16  # the stem
    inputs = 16
    for stage, (width, outputs) in enumerate(((16, 64), (64, 128), (128, 256))):
        total += inputs * outputs + outputs  # the projection
        total += block(width, inputs, outputs) + (blocks - 1) * block(width, outputs, outputs)
        total -= 4 * inputs if stage == 0 else 0  # the first block begins with a convolution
        inputs = outputs
    total += 4 * 256 + 256 * 10 + 10
    model = build("wolter-cifar10-resnet110", arguments={"depth": 9 * blocks + 2})
    assert model.count_params() == total
