"""U-Net, Tiramisu and DeepLabv3+: their weights and operations, by hand, as published, and as Keras has them."""

from __future__ import annotations

import pytest

from hpcnn.models import maps, registry
from hpcnn.models.work import work_of
from hpcnn.util.errors import UsageError
from tests.models import map_counts

keras = pytest.importorskip("keras")

FULL = 768 * 1152


@pytest.mark.parametrize("name", ["unet", "tiramisu", "deeplab"])
def test_weights_and_operations_are_those_counted_by_hand(name):
    model, counted = registry.build(name), getattr(map_counts, name)(FULL)
    assert model.count_params() == counted.weights
    work = work_of(model)
    assert work.unknown == []
    assert work.forward == 2 * counted.products


def test_tiramisu_has_the_operations_of_the_paper():
    """SC18: 4.188 TF a sample of 16 channels, three times those of the forward pass."""
    assert 3 * 2 * map_counts.tiramisu(FULL).products == pytest.approx(4.188e12, abs=5e8)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("unet", {"numfm": 8, "depth": 2}),
        ("tiramisu", {"layers": (1, 2, 3), "growth": 4, "numfm": 6, "size": 3}),
        ("deeplab", {"blocks": (1, 2, 1, 1)}),
    ],
)
def test_depth_and_width_are_keywords(name, arguments):
    given = {"kernel_size" if key == "size" else key: value for key, value in arguments.items()}
    model = registry.build(name, input_shape=(32, 48, 16), arguments=given)
    assert model.count_params() == getattr(map_counts, name)(32 * 48, **arguments).weights
    assert model.output_shape == (None, 32, 48, 3)


def test_the_encoder_of_deeplab_is_the_resnet_of_keras():
    """The same weights: no stride and no hole changes any. Keras's has one normalization more, at its end."""
    inputs = keras.Input((64, 64, 16))
    ours = keras.Model(inputs, maps._resnet(inputs, (3, 4, 6, 3), 64, "relu")[0])
    theirs = keras.applications.ResNet50V2(include_top=False, weights=None, input_shape=(64, 64, 16))
    assert ours.output_shape == (None, 8, 8, 2048)
    assert ours.count_params() == theirs.count_params() - 4 * 2048
    assert sorted(tuple(w.shape) for w in ours.weights) == sorted(tuple(w.shape) for w in theirs.weights[:-4])


@pytest.mark.parametrize(
    ("name", "shape", "of"),
    [("unet", (40, 48, 16), 16), ("tiramisu", (32, 40, 16), 16), ("deeplab", (36, 48, 16), 8)],
)
def test_maps_that_cannot_be_halved_are_refused(name, shape, of):
    with pytest.raises(UsageError, match=f"multiples of {of}"):
        registry.build(name, input_shape=shape)
