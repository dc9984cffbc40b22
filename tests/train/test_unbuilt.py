"""A model without an ``Input`` gets its weights from the data of ``fit``, before the first step."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from hpcnn.errors import UsageError
from hpcnn.train.unbuilt import build_from_fit


class Builds(keras.callbacks.Callback):  # type: ignore[misc]
    def on_train_begin(self, logs: Any = None) -> None:
        self.before = len(self.model.weights)
        build_from_fit(self.model)
        self.after = [weight.shape for weight in self.model.weights]


def unbuilt() -> Any:
    return keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(1)])


@pytest.mark.parametrize("repeated", [False, True])
def test_a_model_is_built_before_its_first_step(repeated: bool) -> None:
    import tensorflow as tf

    arrays = np.ones((8, 2), np.float32), np.ones((8, 1), np.float32)
    data = (tf.data.Dataset.from_tensor_slices(arrays).repeat().batch(4),) if repeated else arrays
    model, builds = unbuilt(), Builds()
    model.compile("adam", "mse", metrics=["mae"])
    how = {"steps_per_epoch": 2} if repeated else {"batch_size": 4}
    history = model.fit(*data, **how, epochs=2, verbose=0, callbacks=[builds])
    assert builds.before == 0
    assert builds.after == [(2, 3), (3,), (3, 1), (1,)]
    assert history.history["loss"][1] < history.history["loss"][0]
    assert int(model.optimizer.iterations.numpy()) == 4


def test_without_data_it_says_how_to_build_the_model() -> None:
    with pytest.raises(UsageError, match=r"has no weights yet.+keras.Input\(shape\)"):
        build_from_fit(unbuilt())


def test_a_model_with_an_input_is_left_alone() -> None:
    build_from_fit(keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]))
