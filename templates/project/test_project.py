"""Checks that cost seconds here and hours on a cluster: run `python -m pytest` before you submit."""

import my_data
import my_model
import numpy as np


def test_the_data_has_the_form_that_the_network_takes() -> None:
    """Training and test samples have one shape, a label each, and no number that is none."""
    (x_train, y_train), (x_test, y_test) = my_data.load()
    assert x_train.shape[1:] == x_test.shape[1:]
    assert (len(x_train), len(x_test)) == (len(y_train), len(y_test))
    assert np.isfinite(x_train).all()
    assert set(y_test) <= set(y_train)


def test_the_network_gives_a_probability_for_each_class() -> None:
    """A batch goes through."""
    (x_train, _), _ = my_data.load()
    outputs = my_model.build(x_train.shape[1:], classes=10)(x_train[:4])
    assert outputs.shape == (4, 10)
    np.testing.assert_allclose(np.sum(outputs, axis=1), 1, rtol=1e-5)
