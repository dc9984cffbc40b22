"""How training images are changed: each change does what its option says, and no image's depends on the others'."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hpcnn.specs.complete import complete
from hpcnn.specs.train import AugmentSpec, TrainSpec
from hpcnn.train.augment import Augmentation, augmentation_of
from hpcnn.train.augment_random import COLUMNS, noise_pictures, sample_draws
from hpcnn.train.setup import make_optimizer
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_lines
from tests.train.launching import Train

COLOUR, GREY = (9, 7, 3), (9, 7, 1)
EVERY = AugmentSpec(
    rotation=20, zoom=0.2, translation=0.2, flip="both", brightness=0.1, contrast=0.2, gamma=0.2, noise=0.1
)

Array = npt.NDArray[Any]


def images(count: int, shape: tuple[int, int, int], seed: int = 1) -> Array:
    return np.random.default_rng(seed).random((count, *shape), np.float32)


def changed(
    options: AugmentSpec, x: Array, numbers: Any = None, *, shape: Any = None, epoch: int = 1, **facts: Any
) -> Array:
    """Return the samples ``x``, which are those of these ``numbers`` of 100, as they are changed in an epoch."""
    augmentation = Augmentation(options, shape or x.shape[1:], 100, 3, **facts)
    augmentation.on_epoch_begin(epoch - 1)
    augmentation.on_train_batch_begin(0)
    found: Array = augmentation(0, x, np.arange(len(x)) if numbers is None else numbers).numpy()
    return found


def test_the_draws_of_a_sample_follow_from_seed_epoch_and_number_alone() -> None:
    draws = sample_draws(50, 3, 2)
    assert np.array_equal(sample_draws(10, 3, 2), draws[:10])
    assert draws.shape == (50, len(COLUMNS))
    assert draws.min() >= 0
    assert draws.max() < 1
    for seed, epoch in ((3, 1), (4, 2), (2, 3)):
        assert not np.isclose(sample_draws(50, seed, epoch), draws).any(axis=1).all()
    assert abs(draws.mean() - 0.5) < 0.05


def test_noise_is_standard_normal_and_another_in_every_epoch() -> None:
    first, second = (noise_pictures((28, 28, 1), 1, epoch) for epoch in (1, 2))
    assert abs(first.mean()) < 0.01
    assert abs(first.std() - 1) < 0.01
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.01


def test_an_image_is_changed_alike_in_whatever_batch_it_comes() -> None:
    """But for rounding: TensorFlow's powers and cosines differ in the last bit with a number's place in a tensor."""
    x, numbers = images(40, GREY), np.random.default_rng(2).permutation(100)[:40]
    whole = changed(EVERY, x, numbers)
    parts = [changed(EVERY, x[part], numbers[part]) for part in (slice(0, 1), slice(1, 30), slice(30, 40))]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-6)
    assert not np.allclose(changed(EVERY, x, numbers, epoch=2), whole, atol=0.1)


def test_images_that_come_flat_or_with_channels_first_are_changed_like_the_others() -> None:
    x = images(20, COLOUR)
    expected = changed(EVERY, x)
    flat = changed(EVERY, x.reshape(20, -1), shape=COLOUR)
    first = changed(EVERY, np.moveaxis(x, -1, 1), shape=COLOUR, channels_first=True)
    assert np.array_equal(flat.reshape(expected.shape), expected)
    assert np.array_equal(np.moveaxis(first, 1, -1), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_type_is_kept(dtype: str) -> None:
    assert changed(EVERY, images(3, GREY).astype(dtype)).dtype == dtype


@pytest.mark.parametrize(("flip", "axes"), [("horizontal", {(), (2,)}), ("vertical", {(), (1,)})])
def test_one_image_in_two_is_mirrored(flip: str, axes: set[tuple[int, ...]]) -> None:
    x = images(100, GREY)
    found = changed(AugmentSpec(flip=flip), x)
    mirrored = [np.array_equal(one, np.flip(other, max(axes)[0] - 1)) for one, other in zip(found, x, strict=True)]
    kept = [np.array_equal(one, other) for one, other in zip(found, x, strict=True)]
    assert sum(mirrored) + sum(kept) == 100
    assert 30 < sum(mirrored) < 70


def _bump(angle: float = 0.0, zoom: float = 1.0, down: float = 0.0, right: float = 0.0) -> Array:
    """Return a 31x31 image of a smooth bump off the centre, turned clockwise, zoomed and moved about the centre."""
    y, x = np.mgrid[-15:16, -15:16].astype(np.float32)
    at_x, at_y = 6 * zoom * np.cos(angle) + right, 6 * zoom * np.sin(angle) + down
    return np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * (3 * zoom) ** 2)).astype(np.float32)[..., None]


@pytest.mark.parametrize(
    ("options", "columns", "most"),
    [
        ({"rotation": 60.0}, {"angle": "rotation"}, np.pi / 3),
        ({"zoom": 0.3}, {"zoom": "zoom"}, 0.3),
        ({"translation": 0.2}, {"down": "down", "right": "right"}, 0.2 * 31),
    ],
)
def test_an_image_is_turned_zoomed_or_moved_as_far_as_it_was_drawn(
    options: dict[str, float], columns: dict[str, str], most: float
) -> None:
    """Against the same bump, computed where it must be then; interpolation leaves a little of a difference."""
    found = changed(AugmentSpec(**options), np.repeat(_bump()[None], 60, axis=0))  # type: ignore[arg-type]
    draws = sample_draws(100, 3, 1)
    for number, image in enumerate(found):
        drawn = {key: (2 * draws[number, COLUMNS.index(name)] - 1) * most for key, name in columns.items()}
        if "zoom" in drawn:
            drawn["zoom"] += 1
        np.testing.assert_allclose(image, _bump(**drawn), atol=0.03)


@pytest.mark.parametrize(("fill", "edge"), [("constant", 0.0), ("nearest", 1.0)])
def test_what_moves_in_from_beyond_the_edge(fill: str, edge: float) -> None:
    found = changed(AugmentSpec(translation=0.5, fill=fill), np.ones((50, *GREY), np.float32))
    assert found.min() == edge


@pytest.mark.parametrize("key", ["brightness", "contrast", "gamma"])
def test_tones_change_by_at_most_their_option_and_stay_in_range(key: str) -> None:
    x = images(100, GREY) * 255
    found = changed(AugmentSpec(**{key: 0.2}), x, pixel_range=(0.0, 255.0))  # type: ignore[arg-type]
    unit, was = found / 255, x / 255
    draws = (2 * sample_draws(100, 3, 1)[:, COLUMNS.index(key)] - 1) * 0.2
    amount = draws[:, None, None, None]
    mean = was.mean(axis=(1, 2, 3), keepdims=True)
    expected = {
        "brightness": was + amount,
        "contrast": mean + (was - mean) * (1 + amount),
        "gamma": was ** (1 + amount),
    }
    np.testing.assert_allclose(unit, np.clip(expected[key], 0, 1), atol=1e-5)


def test_colours_change_and_greys_have_no_hue_to_turn() -> None:
    x = images(100, COLOUR)
    turned = changed(AugmentSpec(hue=0.1), x)
    assert np.abs(turned - x).max() > 0.2
    np.testing.assert_allclose(turned.max(axis=-1), x.max(axis=-1), atol=1e-5)  # the value is what it was
    grey = np.repeat(images(20, GREY), 3, axis=-1)
    np.testing.assert_allclose(changed(AugmentSpec(hue=0.3), grey), grey, atol=1e-5)
    brighter = changed(AugmentSpec(value=0.1), x)
    draws = (2 * sample_draws(100, 3, 1)[:, COLUMNS.index("value")] - 1) * 0.1
    expected = np.clip(x.max(axis=-1) + draws[:, None, None], 0, 1)
    np.testing.assert_allclose(brighter.max(axis=-1), expected, atol=1e-5)


def test_noise_has_its_deviation_and_stays_in_the_range_of_the_pixels() -> None:
    x = np.full((100, *GREY), 100.0, np.float32)
    noisy = changed(AugmentSpec(noise=0.1), x, pixel_range=(0.0, 255.0))
    assert abs((noisy - x).std() / 25.5 - 1) < 0.05
    clipped = changed(AugmentSpec(noise=0.5), x, pixel_range=(0.0, 255.0))
    assert (clipped.min(), clipped.max()) == (0.0, 255.0)


@pytest.mark.parametrize(
    "options", [{"rotation": 90.0, "move_probability": 0.3}, {"brightness": 0.5, "tone_probability": 0.3}]
)
def test_only_a_share_of_the_images_is_changed(options: dict[str, float]) -> None:
    x = images(100, GREY)
    found = changed(AugmentSpec(**options), x)  # type: ignore[arg-type]
    kept = np.isclose(found, x, atol=1e-5).all(axis=(1, 2, 3)).sum()
    assert 55 <= kept <= 85


def test_what_cannot_be_changed_is_refused() -> None:
    from hpcnn.data.registry import load

    blobs, digits = load("blobs"), load("digits", samples=10)
    spec = TrainSpec(augment={"rotation": 10.0})
    with pytest.raises(UsageError, match=r"--augment: the samples of 'blobs', of shape \(2,\), are no images"):
        augmentation_of(spec, blobs, blobs.x_train, ["/CPU:0"])
    with pytest.raises(UsageError, match=r"hue, saturation and value need .*; those of 'digits' have 1 channel$"):
        augmentation_of(replace(spec, augment={"hue": 0.1}), digits, digits.x_train, ["/CPU:0"])
    assert augmentation_of(replace(spec, augment={"rotation": 0.0}), digits, digits.x_train, ["/CPU:0"]) is None


def test_training_images_are_changed_and_test_images_are_not(train: Train) -> None:
    """With a learning rate that moves nothing, the training loss tells of the images alone."""
    still = TrainSpec(samples=200, test_samples=100, epochs=2, learning_rate=1e-30, seed=5)
    runs = (train(still), train(replace(still, augment={"rotation": 45.0, "noise": 0.3})))
    as_it_is, other = (list(read_lines(run.epochs(0))) for run in runs)
    assert as_it_is[0]["loss"] == pytest.approx(as_it_is[1]["loss"], rel=1e-5)
    assert other[0]["loss"] != pytest.approx(other[1]["loss"], rel=1e-4)
    assert other[0]["loss"] != pytest.approx(as_it_is[0]["loss"], rel=1e-3)
    assert [line["validation"] for line in other] == [line["validation"] for line in as_it_is]


def test_a_recipes_own_augmentation_is_kept_changed_key_by_key_and_left_out() -> None:
    spec = TrainSpec(model="wolter-cifar10-cnn")
    assert complete(spec).augment == {"flip": "horizontal", "translation": 0.1, "fill": "nearest"}
    assert complete(replace(spec, augment={"translation": 0.2})).augment["translation"] == 0.2
    assert complete(replace(spec, augmentation=False)).augment == {}
    own = TrainSpec(model="own:ridge", augment={"zoom": 0.1}, augmentation=False)
    assert complete(own).augment == {}


def test_a_recipes_learning_rate_drops_after_its_epochs() -> None:
    spec = complete(TrainSpec(model="wolter-cifar10-resnet110", learning_rate=0.01))
    optimizer = make_optimizer(spec, steps=7)
    for step, rate in ((0, 0.01), (21 * 7 - 1, 0.01), (21 * 7, 0.001), (41 * 7 - 1, 0.001), (41 * 7, 0.0001)):
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(rate, rel=1e-5)
    other = make_optimizer(replace(spec, optimizer="sgd"), steps=7)
    other.iterations.assign(10_000)
    assert float(other.learning_rate) == pytest.approx(0.01)
    with pytest.raises(
        UsageError, match=r"--warmup-epochs: 2\.0 is not valid; expected no value with wolter-cifar10-res"
    ):
        make_optimizer(replace(spec, warmup_epochs=2.0, lr_scaling="linear"), steps=7)
