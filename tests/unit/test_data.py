"""Data sets: validation, the three ways to name one, the guards against wrong files, and expansion."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hpcnn.data.catalogue import data_folder, describe, known
from hpcnn.data.dataset import DataSet
from hpcnn.data.expand import take
from hpcnn.data.registry import file_of, load
from hpcnn.errors import UsageError

REAL_MNIST = Path(os.environ.get("HPCNN_DATA", "")) / "mnist.npz"
needs_mnist = pytest.mark.skipif(not REAL_MNIST.is_file(), reason="no mnist.npz in HPCNN_DATA")

# SHA-256 of the bytes of x_train, y_train, x_test and y_test, one after the other.
DIGITS_SHA256 = "978622974c8fd5b51dff4e48fe5a127b38c925c688b354f0953e3fd31db83930"


def images(count, shape=(4, 4, 1), dtype=np.uint8):
    return np.random.default_rng(count).integers(0, 256, (count, *shape)).astype(dtype)


def labels(count, classes=3):
    return np.arange(count)[::-1] % classes


def arrays(count=6, test=3, **changes):
    whole = {
        "x_train": images(count),
        "y_train": labels(count),
        "x_test": images(test),
        "y_test": labels(test),
    }
    return {**whole, **changes}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder of its own, empty."""
    monkeypatch.setenv("HPCNN_DATA", str(tmp_path))
    return tmp_path


# --- DataSet


def test_a_data_set_gets_channels_int64_labels_and_classes():
    data = DataSet(
        "mine",
        **arrays(x_train=images(6, (4, 4)), x_test=images(3, (4, 4)), y_train=labels(6)[:, None].astype("u1")),
    )
    assert data.x_train.shape == (6, 4, 4, 1)
    assert data.x_train.dtype == np.uint8
    assert data.y_train.tolist() == labels(6).tolist()
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert data.classes == 3
    assert data.input_shape == (4, 4, 1)
    assert data.pixel_scale == 255.0


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_channels_that_come_first_are_moved_to_the_end_and_noted(channels, dtype):
    last = {key: images(count, (6, 5, channels), dtype) for key, count in (("x_train", 6), ("x_test", 3))}
    first = {key: np.moveaxis(x, -1, 1) for key, x in last.items()}
    data = DataSet("mine", **arrays(**first))
    assert data.input_shape == (6, 5, channels)
    assert (data.x_train == last["x_train"]).all()
    assert (data.x_test == last["x_test"]).all()
    assert data.notes == ("channels moved from first to last",)
    assert DataSet("mine", **arrays(**last)).notes == ()
    assert dataclasses.replace(data, y_train=data.y_train).notes == data.notes  # moved once


def test_three_rows_of_pixels_are_no_channels():
    shape = (3, 5, 1)
    data = DataSet("mine", **arrays(x_train=images(6, shape), x_test=images(3, shape)))
    assert data.input_shape == shape


def test_wide_integer_images_become_uint8():
    data = DataSet("mine", **arrays(x_train=images(6, dtype=np.int64), x_test=images(3, dtype=np.int64)))
    assert data.x_train.dtype == np.uint8
    assert (data.x_train == images(6)).all()


def test_float_features_are_left_as_they_are():
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2)
    data = DataSet("mine", **arrays(x_train=x, x_test=x[:3]))
    assert data.x_train is x
    assert data.pixel_scale == 1.0
    assert data.input_shape == (2,)


def test_classes_that_no_label_names_may_be_given():
    assert DataSet("mine", **arrays(), classes=7).classes == 7


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_train": labels(5)}, "y_train is int64 of shape (5,); expected as many labels as x_train has"),
        ({"x_train": images(0), "y_train": labels(0)}, "x_train is uint8 of shape (0, 4, 4, 1); expected at"),
        ({"y_train": labels(6) - 1}, "y_train is int64 of shape (6,); expected labels from 0 to 2, found -1"),
        ({"classes": 2}, "expected labels from 0 to 1, found 0 to 2"),
        (
            {"x_test": np.full((3, 4, 4, 1), np.nan)},
            "x_test is float64 of shape (3, 4, 4, 1); expected finite",
        ),
        (
            {"x_train": images(6, dtype=np.int32) * 9},
            "x_train is int32 of shape (6, 4, 4, 1); expected pixels",
        ),
        (
            {"x_train": np.full((6, 4), "a")},
            "x_train is <U1 of shape (6, 4); expected integer pixels or float",
        ),
        ({"x_train": np.arange(6)}, "x_train is int64 of shape (6,); expected at least one sample"),
        ({"x_train": [[1], [1, 2]]}, "x_train is not an array"),
        ({"y_test": np.eye(3)}, "y_test is float64 of shape (3, 3); expected integer class numbers"),
        ({"x_test": images(3, (5, 4, 1))}, "x_test is uint8 of shape (3, 5, 4, 1); expected samples like"),
        ({"x_test": images(3) / 255}, "x_test is float64 of shape (3, 4, 4, 1); expected samples like"),
    ],
)
def test_what_is_wrong_with_an_array_is_said(changes, words):
    with pytest.raises(UsageError) as caught:
        DataSet("mine", **arrays(**changes))
    assert "data set 'mine': " in str(caught.value)
    assert words in str(caught.value)


# --- digits


def test_digits_are_the_same_on_every_machine():
    data = load("digits")
    digest = hashlib.sha256()
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        digest.update(np.ascontiguousarray(array).tobytes())
    assert digest.hexdigest() == DIGITS_SHA256


def test_digits_are_scikit_learns_own_pixels():
    from sklearn.datasets import load_digits

    data = load("digits")
    assert (len(data.x_train), len(data.x_test), data.classes) == (1437, 360, 10)
    assert data.input_shape == describe("digits").shape
    whole = np.concatenate([data.x_train, data.x_test])[..., 0]
    assert not whole[:, :2].any()
    assert not whole[:, -2:].any()
    assert not whole[:, :, :2].any()
    assert not whole[:, :, -2:].any()
    inner = whole[:, 2:-2, 2:-2]
    small = inner[:, ::3, ::3]
    assert (inner == small.repeat(3, axis=1).repeat(3, axis=2)).all()
    ours = sorted((image / 255 * 16).round().astype(int).ravel().tolist() for image in small)
    assert ours == sorted(image.astype(int).tolist() for image in load_digits().data)


# --- files


def test_an_npz_path_is_read(tmp_path):
    file = tmp_path / "mine.npz"
    np.savez(file, **arrays())
    data = load(str(file))
    assert (data.x_train == images(6)).all()
    assert (data.y_test == labels(3)).all()
    assert data.source == str(file)
    assert file_of(str(file)) == file


def test_missing_keys_are_named(tmp_path):
    file = tmp_path / "mine.npz"
    np.savez(file, x_train=images(6), labels=labels(6))
    with pytest.raises(
        UsageError, match=r"lacks y_train, x_test, y_test; found x_train, labels; expected x_train, y_train"
    ):
        load(str(file))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"--data: '.*none\.npz' is not valid; expected an \.npz file"):
        load(str(tmp_path / "none.npz"))


def test_pickled_objects_are_refused(tmp_path):
    file = tmp_path / "objects.npz"
    np.savez(file, **arrays(x_train=np.array([{"a": 1}] * 6, dtype=object)))
    with pytest.raises(UsageError, match=r"objects\.npz cannot be read as plain arrays: Object arrays"):
        load(str(file))


def test_a_file_that_was_cut_off(tmp_path):
    file = tmp_path / "cut.npz"
    np.savez(file, **arrays())
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(UsageError, match=r"expected a readable and whole \.npz file"):
        load(str(file))


def test_a_file_whose_bytes_are_damaged(tmp_path):
    file = tmp_path / "damaged.npz"
    np.savez(file, **arrays())
    content = bytearray(file.read_bytes())
    content[200] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"cannot be read as plain arrays: Bad CRC-32"):
        load(str(file))


# --- staged files


def test_a_set_that_is_not_staged_says_how_to_stage_it(folder):
    with pytest.raises(UsageError) as caught:
        load("cifar10")
    assert f"there is no file {folder / 'cifar10.npz'}" in str(caught.value)
    assert "'hpcnn data stage cifar10' on a login node" in str(caught.value)


def test_a_staged_file_is_read_and_a_part_of_it_is_said_to_be_one(folder):
    x = images(6, (32, 32, 3))
    np.savez(folder / "cifar10.npz", **arrays(x_train=x, x_test=x[:3]))
    data = load("cifar10")
    assert (data.x_train == x).all()
    assert data.classes == 10
    assert data.notes == ("the file holds 6 + 3 of the 50000 + 10000 samples of cifar10",)
    assert file_of("cifar10") == folder / "cifar10.npz"


def test_images_of_another_shape_are_refused(folder):
    np.savez(folder / "cifar10.npz", **arrays())
    with pytest.raises(UsageError, match=r"images have shape \(4, 4, 1\); expected \(32, 32, 3\)"):
        load("cifar10")


def test_mnist_in_another_order_is_refused(folder):
    x = images(20, (28, 28))
    y = np.sort(labels(20, classes=10))
    np.savez(folder / "mnist.npz", **arrays(x_train=x, y_train=y, x_test=x[:3]))
    with pytest.raises(UsageError) as caught:
        load("mnist")
    assert "labels begin 0 0 1 1 2 2 3 3 4 4; in the original order, 5 0 4 1 9 2 1 3 1 4" in str(caught.value)


@pytest.mark.realdata
@needs_mnist
def test_the_real_mnist():
    data = load("mnist", samples=500, test_samples=100)
    assert data.x_train.shape == (500, 28, 28, 1)
    assert data.x_test.shape == (100, 28, 28, 1)
    assert data.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    whole = load("mnist")
    assert (len(whole.x_train), len(whole.x_test), whole.notes) == (60_000, 10_000, ())
    assert (whole.x_train[:500] == data.x_train).all()


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


def test_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HPCNN_DATA", "~/sets")
    assert data_folder() == Path.home() / "sets"
    monkeypatch.setenv("HPCNN_DATA", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "hpcnn" / "data"


# --- a user's own function

MODULE = """
import numpy as np
from hpcnn.data.dataset import DataSet

x = np.linspace(0, 1, 12).reshape(6, 2)
y = np.array([0, 1, 2, 0, 1, 2])

def pairs():
    return (x, y), (x[:3], y[:3])

def ready():
    return DataSet("ready", x, y, x, y, notes=("made here",))

def wrong():
    return x, y

number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module in the working directory."""
    name = f"module_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_broken.py").write_text("import a_module_that_does_not_exist\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def test_a_function_gives_pairs(module):
    data = load(f"{module}:pairs", samples=4)
    assert data.x_train.shape == (4, 2)
    assert data.y_test.tolist() == [0, 1, 2]
    assert data.source == f"{module}:pairs"
    assert file_of(f"{module}:pairs") is None


def test_a_function_gives_a_data_set(module):
    data = load(f"{module}:ready", test_samples=2)
    assert data.name == "ready"
    assert data.notes == ("made here", "the first 2 of 6 test samples")


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        (":wrong", "returned tuple; expected (x_train, y_train), (x_test, y_test) or an hpcnn DataSet"),
        (":number", "has no such function"),
        (":pears", "has no such function"),
        ("_absent:pairs", "there is no module"),
    ],
)
def test_a_function_that_cannot_be_used(module, suffix, words):
    with pytest.raises(UsageError) as caught:
        load(module + suffix)
    assert f"{module}{suffix}" in str(caught.value)
    assert words in str(caught.value)


def test_an_import_that_fails_within_the_users_module_is_not_hidden(module):
    with pytest.raises(ModuleNotFoundError, match="a_module_that_does_not_exist"):
        load(f"{module}_broken:pairs")


# --- which part


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(UsageError) as caught:
        load("fashion-mnist")
    assert "--data: 'fashion-mnist' is not known. Did you mean 'fashion_mnist'?" in str(caught.value)
    assert "A path ending in .npz or package.module:function also works." in str(caught.value)
    assert all(name in str(caught.value) for name in known())


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


# --- points


@pytest.mark.parametrize("name", ["blobs", "circles"])
def test_points_are_the_lectures(name, folder):
    data = load(name)
    assert data.x_train.shape == (400, 2)
    assert data.x_test.shape == (100, 2)
    assert data.x_train.dtype == np.float32
    assert data.classes == 2
    assert data.pixel_scale == 1.0
    assert np.bincount(np.concatenate([data.y_train, data.y_test])).tolist() == [250, 250]
    assert file_of(name) is None
    again = load(name, samples=100, seed=7)
    assert (again.x_train == data.x_train[:100]).all()
    with pytest.raises(UsageError, match=r"samples of shape \(2,\) cannot be expanded"):
        load(name, samples=401)


def test_blobs_are_two_clouds_of_width_one():
    data = load("blobs")
    for label in (0, 1):
        cloud = data.x_train[data.y_train == label]
        assert (np.abs(cloud.mean(axis=0)) < 3.3).all()
        assert cloud.std(axis=0) == pytest.approx((1, 1), abs=0.15)


def test_circles_have_radii_1_and_0_8_and_noise_0_1():
    data = load("circles")
    radii = np.hypot(*data.x_train.T)
    assert radii[data.y_train == 0].mean() == pytest.approx(1.0, abs=0.03)
    assert radii[data.y_train == 1].mean() == pytest.approx(0.8, abs=0.03)
    assert radii[data.y_train == 1].std() == pytest.approx(0.1, abs=0.02)
