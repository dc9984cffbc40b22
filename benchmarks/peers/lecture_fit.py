"""The lecture's own way: ``model.fit`` as printed in the decks, on the same network and data.

``python lecture_fit.py MODEL DATA.npz PRECISION EPOCHS BATCH SCALE THREADS SEED [start|TARGET]`` prints one JSON
object: seconds of each epoch (training alone, as hpcnn's clock has it), and the test accuracy after the last; with
``start`` also the seconds from the start of the process to the end of the first batch. With a TARGET it tests after
every epoch and stops after the one that reaches this accuracy, and tells the seconds since ``fit`` was called.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hpcnn.models.registry import build
from hpcnn.util.host import process_seconds
from hpcnn.zoo.registry import recipe


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes each epoch's seconds. Without validation data in ``fit``, an epoch is training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop the clock."""
        self.seconds.append(time.perf_counter() - self._begin)


class FirstBatch(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes how long ago the process was started when the first batch has ended."""

    seconds: float | None = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look at the clock once."""
        if self.seconds is None:
            self.seconds = process_seconds()


class Target(keras.callbacks.Callback):  # type: ignore[misc]
    """Stops after the epoch that reaches a test accuracy, and notes the seconds since the training began."""

    reached: float | None = None

    def __init__(self, accuracy: float) -> None:
        super().__init__()
        self._accuracy = accuracy

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock."""
        self._begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look whether it is enough."""
        if logs["val_accuracy"] >= self._accuracy:
            self.reached = time.perf_counter() - self._begin
            self.model.stop_training = True


def begin(file: str, precision: str, threads: str, seed: str) -> list[Any]:
    """Set what both peers train with; return x_train, y_train, x_test and y_test of a file."""
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    keras.utils.set_random_seed(int(seed))
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    with np.load(file) as data:
        return [data[key] for key in ("x_train", "y_train", "x_test", "y_test")]


def main(
    name: str,
    file: str,
    precision: str,
    epochs: str,
    batch: str,
    scale: str,
    threads: str,
    seed: str,
    more: str = "",
) -> None:
    """Train and print."""
    x, y, x_test, y_test = begin(file, precision, threads, seed)
    x, x_test = (part.reshape(-1, 28, 28, 1).astype("float32") * np.float32(scale) for part in (x, x_test))
    known = recipe(name)
    model = build(name)
    optimizer = keras.optimizers.SGD(known.learning_rate, momentum=known.momentum or 0.0)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    start, target = more == "start", None if more in ("", "start") else Target(float(more))
    clock, first = Clock(), FirstBatch()
    callbacks = [clock, *([first] if start else []), *([target] if target else [])]
    labels, test = keras.utils.to_categorical(y, 10), (x_test, keras.utils.to_categorical(y_test, 10))
    model.fit(
        x,
        labels,
        batch_size=int(batch),
        epochs=int(epochs),
        verbose=2,
        callbacks=callbacks,
        validation_data=test if target else None,
    )
    _, accuracy = model.evaluate(*test, batch_size=1000, verbose=0)
    found = {"seconds": clock.seconds, "samples": len(x), "test_accuracy": float(accuracy)}
    found |= {"start": first.seconds} if start else {}
    found |= {"seconds_to_target": target.reached} if target else {}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
