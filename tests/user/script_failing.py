"""A user's script in which something is wrong on rank 1 alone: ``python script_failing.py WHAT``."""

from __future__ import annotations

import itertools
import sys
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import hpcnn

run = hpcnn.init()
what = sys.argv[1] if run.rank == 1 else "nothing"


class Differs(keras.callbacks.Callback):  # type: ignore[misc]
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1 and what == "an exception":
            raise ArithmeticError("made to fail on one rank")
        if epoch == 1 and what == "sys.exit":
            sys.exit(3)
        if epoch == 1 and what == "waits":
            time.sleep(600)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 1 and what == "stops in an epoch":
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1 and what == "stops":
            self.model.stop_training = True
        if epoch == 1 and what == "a rate of its own":
            self.model.optimizer.learning_rate = 0.05


def batches(count: int) -> Any:
    """Return data of a length that Keras does not know."""
    signature = (tf.TensorSpec((10, 4)), tf.TensorSpec((10, 2)))
    one = (np.ones((10, 4), np.float32), np.ones((10, 2), np.float32))
    return tf.data.Dataset.from_generator(lambda: itertools.repeat(one, count), output_signature=signature)


keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.compile(optimizer=run.distribute(keras.optimizers.SGD(0.1)), loss="mse")
samples = 60 if what == "more samples" else 40
if sys.argv[1] == "more batches":
    model.fit(batches(4 + run.rank), epochs=3, verbose=run.verbose, callbacks=run.callbacks())
else:
    model.fit(
        np.ones((samples, 4)),
        np.ones((samples, 2)),
        batch_size=10,
        epochs=3,
        verbose=run.verbose,
        callbacks=run.callbacks(Differs()),
    )
if what == "weights at the end":
    model.trainable_weights[0].assign(np.zeros((4, 2)))
