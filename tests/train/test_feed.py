"""Samples in the form that a model takes, and labels in the form that its loss wants."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from hpcnn.train.feed import fit_shape, one_hot_sizes


def _own_loss(truth: Any, predicted: Any) -> Any:
    return keras.losses.sparse_categorical_crossentropy(truth, predicted)


@pytest.mark.parametrize(
    ("loss", "outputs", "one_hot"),
    [
        ("mean_absolute_error", 10, True),
        (keras.losses.CategoricalCrossentropy(), 10, True),
        ("sparse_categorical_crossentropy", 10, False),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), 10, False),
        ("binary_crossentropy", 1, False),
        (_own_loss, 10, False),
    ],
)
def test_labels_become_one_hot_where_a_loss_of_keras_compares_one_output_a_class(
    loss: Any, outputs: int, one_hot: bool
) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(outputs)])
    model.compile(loss=loss)
    assert one_hot_sizes(model, 10) == (10 if one_hot else None)


def test_a_model_that_wants_the_channels_first_gets_them_first() -> None:
    x = np.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    assert np.array_equal(fit_shape(x, (3, 4, 5)), np.moveaxis(x, -1, 1))
    assert np.array_equal(fit_shape(x, (4, 5, 3)), x)
    assert np.array_equal(fit_shape(x, (60,)), x.reshape(2, 60))
