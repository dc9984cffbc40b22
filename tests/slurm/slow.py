"""A user's network that takes 50 ms a step on any machine, so that a job's time limit comes when a test wants it.

It does so while a file `slow` lies beside it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

SLOW = Path(__file__).with_name("slow")


@keras.saving.register_keras_serializable("slow")
class Pause(keras.layers.Layer):  # type: ignore[misc]
    """Passes its input on, 50 ms later."""

    def call(self, x: Any) -> Any:
        """Return ``x`` after the pause."""

        def pause(value: Any) -> Any:
            if SLOW.exists():
                time.sleep(0.05)
            return value

        y = tf.py_function(pause, [x], x.dtype)
        y.set_shape(x.shape)
        return y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the input."""
        return input_shape


def network(input_shape: tuple[int, ...], classes: int) -> Any:
    """Return the network: a pause on the way in, which no gradient passes, and one layer."""
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Flatten(), Pause(), keras.layers.Dense(classes, activation="softmax")]
    )
