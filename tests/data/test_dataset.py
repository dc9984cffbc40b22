"""DataSet: the form that arrays get, and what is said of arrays that are wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hpcnn.data.dataset import DataSet
from hpcnn.util.errors import UsageError
from tests.data.data_arrays import arrays, images, labels


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
