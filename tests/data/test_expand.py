"""Another number of samples than a set has: its first ones, and its images expanded by shifts and small changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hpcnn.data.expand import take
from hpcnn.data.registry import load
from hpcnn.util.errors import UsageError
from tests.data.data_arrays import arrays, images, labels, needs_mnist

# --- as a user asks for it


def test_parts_are_the_first_samples_and_are_noted():
    whole = load("digits")
    data = load("digits", samples=500, test_samples=100)
    assert (data.x_train == whole.x_train[:500]).all()
    assert (data.y_test == whole.y_test[:100]).all()
    assert data.notes == (
        "the first 500 of 1437 training samples",
        "the first 100 of 360 test samples",
    )


def test_a_part_of_the_digits_fivefold():
    whole, data = load("digits", samples=500), load("digits", samples=500, expand=5)
    assert data.x_train.shape == (2500, 28, 28, 1)
    assert (data.x_train[:500] == whole.x_train).all()
    assert (data.x_train[500:1000, :-1] == whole.x_train[:, 1:]).all()
    assert (data.y_train == np.tile(whole.y_train, 5)).all()
    assert len(data.x_test) == 360
    assert data.notes == ("the first 500 of 1437 training samples", "500 training samples expanded to 2500")
    with pytest.raises(UsageError, match="--expand: 5 is not valid; expected 1: the samples of 'blobs' are no images"):
        load("blobs", expand=5)


def test_more_digits_than_there_are():
    data = load("digits", samples=2000)
    assert data.x_train.shape == (2000, 28, 28, 1)
    assert data.notes == ("1437 training samples expanded to 2000",)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"samples": 0}, "--samples: 0 is not valid"),
        ({"test_samples": 0}, "--test-samples: 0 is not valid; expected 1 to 360"),
        ({"test_samples": 361}, "--test-samples: 361 is not valid; expected 1 to 360"),
    ],
)
def test_counts_that_cannot_be(wanted, words):
    with pytest.raises(UsageError) as caught:
        load("digits", **wanted)
    assert words in str(caught.value)


def test_a_part_of_a_set_sorted_by_class_is_refused(tmp_path):
    file = tmp_path / "sorted.npz"
    np.savez(file, **arrays(y_train=np.sort(labels(6))))
    with pytest.raises(UsageError, match=r"--samples: .* is sorted by class, so its first 3 .* hold 2 of its 3"):
        load(str(file), samples=3)
    assert len(load(str(file)).x_train) == 6
    assert len(load(str(file), samples=5).x_train) == 5


@pytest.mark.realdata
@needs_mnist
def test_a_quarter_of_a_million_images_of_the_real_mnist():
    whole, data = load("mnist"), load("mnist", samples=250_000)
    assert data.x_train.shape == (250_000, 28, 28, 1)
    assert data.x_train.dtype == np.uint8
    assert (data.x_train[:60_000] == whole.x_train).all()
    assert (data.x_train[60_000:120_000, :-1] == whole.x_train[:, 1:]).all()
    assert (data.y_train[240_000:] == whole.y_train[:10_000]).all()
    assert data.notes == ("60000 training samples expanded to 250000",)


@pytest.mark.realdata
@needs_mnist
def test_the_lectures_quarter_of_a_million_50000_images_and_their_four_shifts():
    whole, data = load("mnist", samples=50_000), load("mnist", samples=50_000, expand=5)
    assert data.x_train.shape == (250_000, 28, 28, 1)
    assert (data.x_train[200_000:, :, 1:] == whole.x_train[:, :, :-1]).all()
    assert (data.y_train[200_000:] == whole.y_train).all()


# --- expansion


@st.composite
def image_sets(draw):
    shape = draw(st.tuples(*[st.integers(1, 5)] * 3, st.integers(1, 3)))
    if draw(st.booleans()):
        return draw(hnp.arrays(np.uint8, shape))
    return draw(hnp.arrays(np.float32, shape, elements=st.floats(-1, 1, width=32)))


@given(x=image_sets(), share=st.floats(0, 1), rounds=st.floats(0.1, 7), seed=st.integers(0, 2**32))
def test_a_smaller_expansion_is_the_beginning_of_a_larger_one(x, share, rounds, seed):
    y = np.arange(len(x))
    samples = max(1, round(rounds * len(x)))
    part = max(1, round(share * samples))
    more, more_labels = take(x, y, samples, seed)
    fewer, fewer_labels = take(x, y, part, seed)
    assert more.shape == (samples, *x.shape[1:])
    assert more.dtype == x.dtype
    assert more_labels.tolist() == [index % len(x) for index in range(samples)]
    np.testing.assert_array_equal(more[:part], fewer)
    np.testing.assert_array_equal(more_labels[:part], fewer_labels)
    assert min(0, x.min()) <= more.min()
    assert more.max() <= max(0, x.max())


@pytest.mark.parametrize("part", range(1, 28))
def test_any_beginning_of_seven_rounds_is_the_expansion_of_that_size(part):
    x, y = images(4), labels(4)
    np.testing.assert_array_equal(take(x, y, 28, seed=5)[0][:part], take(x, y, part, seed=5)[0])


@given(x=image_sets())
def test_the_first_four_copies_are_one_pixel_shifts_with_zeros(x):
    count = len(x)
    expanded, _ = take(x, np.zeros(count, int), 5 * count, seed=1)
    rows, columns = np.zeros_like(x[:, :1]), np.zeros_like(x[:, :, :1])
    expected = [
        x,
        np.concatenate([x[:, 1:], rows], axis=1),
        np.concatenate([rows, x[:, :-1]], axis=1),
        np.concatenate([x[:, :, 1:], columns], axis=2),
        np.concatenate([columns, x[:, :, :-1]], axis=2),
    ]
    np.testing.assert_array_equal(expanded, np.concatenate(expected))


def test_later_rounds_differ_from_the_images_and_from_each_other_and_stay_like_them():
    digits = load("digits", samples=50)
    x, y = take(digits.x_train, digits.y_train, 350, seed=3)
    first, second = x[250:300].astype(int), x[300:].astype(int)
    original = digits.x_train.astype(int)
    assert (y[250:300] == digits.y_train).all()
    for changed in (first, second):
        distance = np.abs(changed - original).mean(axis=(1, 2, 3))
        other = np.abs(changed - np.roll(original, 1, axis=0)).mean(axis=(1, 2, 3))
        assert (distance > 0).all()
        assert (distance < other).all()
    assert (first != second).any(axis=(1, 2, 3)).all()


def test_the_seed_decides_the_later_rounds_alone():
    x, y = images(4), labels(4)
    one, same, other = (take(x, y, 24, seed)[0] for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one[:20] == other[:20]).all()
    assert (one[20:] != other[20:]).any(axis=(1, 2, 3)).all()


def test_data_that_are_not_images_cannot_be_expanded():
    x = np.zeros((4, 7), np.float32)
    with pytest.raises(UsageError, match=r"--samples: 5 .* shape \(7,\) cannot be expanded.*expected 1 to 4"):
        take(x, labels(4), 5, seed=1)


def test_more_than_fits_in_memory():
    with pytest.raises(UsageError, match=r"--samples: 10000000000000000 samples need .* GiB"):
        take(images(2), labels(2), 10**16, seed=1)
