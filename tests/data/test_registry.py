"""Data sets known by name: the digits, staged files and the guards against wrong ones, and the lectures' points."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from hpcnn.data.registry import file_of, load
from hpcnn.util.errors import UsageError
from hpcnn.zoo.catalogue import data_folder, describe, known
from tests.data.data_arrays import arrays, images, labels, needs_mnist

# SHA-256 of the bytes of x_train, y_train, x_test and y_test, one after the other.
DIGITS_SHA256 = "978622974c8fd5b51dff4e48fe5a127b38c925c688b354f0953e3fd31db83930"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder of its own, empty."""
    monkeypatch.setenv("HPCNN_DATA", str(tmp_path))
    return tmp_path


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(UsageError) as caught:
        load("fashion-mnist")
    assert "--data: 'fashion-mnist' is not known. Did you mean 'fashion_mnist'?" in str(caught.value)
    assert "Also valid: npy:DIR or npy:X.npy,Y.npy[,WEIGHTS.npy], h5:FILES" in str(caught.value)
    assert "FILE.npz, package.module:function." in str(caught.value)
    assert f"`hpcnn data list` lists all {len(known())}." in str(caught.value)


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


def test_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HPCNN_DATA", "~/sets")
    assert data_folder() == Path.home() / "sets"
    monkeypatch.setenv("HPCNN_DATA", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "hpcnn" / "data"


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
