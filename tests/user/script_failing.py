"""A user's script in which something is wrong on rank 1 alone: ``python script_failing.py WHAT``."""

from __future__ import annotations

import sys
from typing import Any

import keras
import numpy as np

import hpcnn

run = hpcnn.init()
what = sys.argv[1] if run.rank == 1 else "nothing"


class FailsInTheSecondEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1 and what == "an exception":
            raise ArithmeticError("made to fail on one rank")
        if epoch == 1 and what == "sys.exit":
            sys.exit(3)


keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.compile(optimizer=run.distribute(keras.optimizers.SGD(0.1)), loss="mse")
samples = 60 if what == "more samples" else 40
model.fit(
    np.ones((samples, 4)),
    np.ones((samples, 2)),
    batch_size=10,
    epochs=3,
    verbose=run.verbose,
    callbacks=run.callbacks(FailsInTheSecondEpoch()),
)
