"""A user's script of six epochs of 20 steps, half a second each."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np

import hpcnn

run = hpcnn.init()


class Pause(keras.callbacks.Callback):  # type: ignore[misc]
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        time.sleep(0.025)


keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(2)])
model.compile(optimizer=run.distribute(keras.optimizers.Adam(0.01)), loss="mse")
x, y = run.shard(np.ones((400, 4)), np.zeros((400, 2)))
before = float(model.evaluate(x, y, verbose=0))
model.fit(x, y, batch_size=10, epochs=6, verbose=run.verbose, callbacks=run.callbacks(Pause()))
print(f"rank {run.rank}: the whole script was run; {float(model.optimizer.iterations)} steps", flush=True)
