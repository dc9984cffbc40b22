"""Data sets without a file: samples that are computed, the same however and wherever they are read."""

from __future__ import annotations

import numpy as np
import pytest

from hpcnn.data.generated.climate import Climate
from hpcnn.data.registry import load
from hpcnn.data.stream.streamed import StreamedSet, source_of
from hpcnn.util.errors import UsageError
from hpcnn.util.user_code import own_code
from hpcnn.zoo.catalogue import check_arguments, check_name
from hpcnn.zoo.climate import CHANNELS, OPTIONS, size_of


def test_synthetic_images_have_the_shape_classes_and_number_asked_for():
    data = load("synthetic:8x6x3", arguments={"classes": 1000}, samples=5000, test_samples=7)
    assert isinstance(data, StreamedSet)
    assert (data.input_shape, data.outputs, data.samples, data.test_samples) == ((8, 6, 3), 1000, 5000, 7)
    assert data.pixel_scale == 255
    x, y = source_of(data.x_train).read(np.array([0, 4999]))
    assert (x.dtype, x.shape, y.shape) == (np.uint8, (2, 8, 6, 3), (2,))


def test_synthetic_samples_follow_from_the_seed_and_the_part():
    def first(seed, part):
        data = load("synthetic:8x6x3", arguments={"seed": seed})
        return source_of(getattr(data, part)).read(np.arange(9))[0]

    assert (first(1, "x_train") == first(1, "x_train")).all()
    assert (first(1, "x_train") != first(2, "x_train")).any()
    assert (first(1, "x_train") != first(1, "x_test")).any()


def test_other_shapes_are_floats():
    data = load("synthetic:784")
    assert (data.input_shape, data.x_train.dtype, data.outputs) == ((784,), np.float32, 10)


def test_large_samples_take_little_memory():
    source = source_of(load("synthetic:768x1152x16", samples=1_000_000).x_train)
    while hasattr(source, "inner"):
        source = source.inner
    assert source._samples.nbytes <= 2**26


@pytest.mark.parametrize("name", ["synthetic:", "synthetic:8x", "synthetic:0x3", "synthetic:axb", "synthetic:8x-1x3"])
def test_a_shape_that_is_none(name):
    with pytest.raises(UsageError, match=r"--data: .* expected synthetic:HxWxC, such as synthetic:224x224x3"):
        check_name(name)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"class": 3}, "'class' is not known. Did you mean 'classes'"),
        ({"classes": 1}, "--data-arg classes: 1 is not valid; expected a whole number from 2 on"),
        ({"seed": 1.5}, "--data-arg seed: 1.5 is not valid"),
        ({"maps": 1}, "--data-arg maps: 1 is not valid; expected true or false"),
        ({"maps": True, "classes": 300}, "--data-arg classes: 300 is not valid; expected at most 256"),
    ],
)
def test_wrong_options_are_found_before_anything_is_made(given, message):
    with pytest.raises(UsageError, match=message):
        check_arguments("synthetic:8x8x3", given)


def test_generated_data_is_not_expanded_and_no_code():
    with pytest.raises(UsageError, match="--expand: 2 is not valid"):
        load("synthetic:8x8x3", expand=2)
    with pytest.raises(UsageError, match="--samples: 0 is not valid"):
        load("synthetic:8x8x3", samples=0)
    assert own_code({"data": "synthetic:8x8x3"}) == []


# --- climate


@pytest.fixture(scope="module")
def maps():
    """Fields in their own units, by name, and the classes of their pixels."""
    x, y = Climate((48, 72), 100, 1, 0, standardize=False).read(np.arange(24))
    return dict(zip(CHANNELS, np.moveaxis(x, -1, 0), strict=True)), y


def test_a_map_follows_from_the_seed_the_part_and_its_number_alone():
    def read(seed=1, part=0, indices=(3,)):
        return Climate((32, 48), 100, seed, part).read(np.array(indices))

    (x, y), (together, classes) = read(), read(indices=(7, 3, 7))
    assert (x[0] == together[1]).all()
    assert (y[0] == classes[1]).all()
    assert (together[0] == together[2]).all()
    assert not (together[0] == together[1]).any(axis=(0, 1)).all()
    for other in (read(seed=2), read(part=1)):
        assert (other[0] != x).mean() > 0.9
    assert (Climate((32, 48), 100, 1, 0).labels(np.array([7, 3, 7])) == classes).all()


def test_background_is_nearly_all_of_the_maps(maps):
    shares = np.bincount(maps[1].ravel(), minlength=3) / maps[1].size
    assert shares[0] == pytest.approx(0.98, abs=0.01)
    assert shares[1] == pytest.approx(0.0025, abs=0.0015)
    assert shares[2] == pytest.approx(0.018, abs=0.008)


def test_a_cyclone_changes_the_fields_as_in_nature(maps):
    fields, classes = maps

    def above(field):
        """Return by how much a field is above the mean of its latitude, within cyclones."""
        return (field - field.mean(axis=(0, 2), keepdims=True))[classes == 1].mean()

    assert above(fields["PSL"]) < -1500
    assert above(fields["TMQ"]) > 5
    assert above(fields["T500"]) > 1
    assert above(np.hypot(fields["U850"], fields["V850"])) > 10
    assert above(fields["PRECT"]) > 1e-7
    assert np.corrcoef(fields["PSL"].ravel(), fields["Z1000"].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("half", [1, -1])
def test_the_wind_turns_around_a_cyclone_as_the_globe_does(half, monkeypatch):
    """Counterclockwise in the north: northward east of the centre; the other way round in the south."""
    monkeypatch.setattr("hpcnn.data.generated.climate._half", lambda chance: half)
    source = Climate((48, 96), 1, 1, 0, standardize=False)
    fields = {name: np.zeros((48, 96), np.float32) for name in CHANNELS}
    inside = source._vortex(fields, np.random.default_rng(3), latitudes=(20, 20), radius=(8, 8), warm=True)
    row, column = np.argwhere(inside).mean(axis=0).round().astype(int)
    assert (row < 24) == (half > 0)
    assert np.sign(fields["V850"][row, [(column + 3) % 96, (column - 3) % 96]]).tolist() == [half, -half]


def test_a_river_is_moist_and_windy_and_neither_alone_is_one(maps):
    fields, classes = maps
    latitudes = (np.abs(np.arange(48) - 23.5) > 6)[None, :, None] & (np.abs(np.arange(48) - 23.5) < 12)[None, :, None]
    river, others = (classes == 2) & latitudes, (classes == 0) & latitudes
    assert fields["TMQ"][river].mean() > fields["TMQ"][others].mean() + 8
    assert fields["U850"][river].mean() > fields["U850"][others].mean() + 5


def test_standardized_fields_are_near_0_and_1():
    x, _ = Climate((48, 72), 100, 1, 0).read(np.arange(16))
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert np.abs(x.mean(axis=(0, 1, 2))).max() < 0.35
    assert np.abs(x.std(axis=(0, 1, 2)) - 1).max() < 0.35


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, (96, 144)),
        ({"fraction": 1}, (768, 1152)),
        ({"fraction": "1/16"}, (48, 72)),
        ({"fraction": 0.25}, (192, 288)),
        ({"height": 40, "width": 64}, (40, 64)),
    ],
)
def test_any_fraction_of_the_full_size(given, size):
    assert size_of({**OPTIONS, **given}) == size


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fraction": "1/7"}, "--data-arg fraction: '1/7' is not valid; expected a part of 768 x 1152"),
        ({"fraction": 2}, "--data-arg fraction: 2 is not valid"),
        ({"fraction": "a/0"}, "--data-arg fraction"),
        ({"fraction": "1/96"}, "whole numbers from 16 on"),
        ({"height": 40}, "--data-arg width: no value is not valid"),
        ({"height": 40, "width": 8}, "--data-arg width: 8 is not valid; expected a whole number from 16 on"),
        ({"standardize": "maybe"}, "--data-arg standardize: 'maybe' is not valid; expected true or false"),
        ({"seed": -1}, "--data-arg seed: -1"),
        ({"channels": 4}, "'channels' is not known"),
    ],
)
def test_wrong_options_of_the_climate_are_found_on_a_login_node(given, message):
    with pytest.raises(UsageError, match=message):
        check_arguments("climate", given)
