"""A user's script with several trainings, one after the other: ``python script_fits.py FOLDER``.

Each writes FOLDER/NAME.rankN.npz: all weights, and what else the tests want to see.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

import hpcnn

run = hpcnn.init()
folder = Path(sys.argv[1])
generator = np.random.default_rng(11)
Floats = npt.NDArray[np.float32]
x: Floats = generator.normal(1.0, 2.0, (40, 3)).astype(np.float32)
y: Floats = (x @ [[1.0], [-1.0], [0.5]]).astype(np.float32)


def model_of(*layers: Any) -> Any:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])


def keep(name: str, model: Any, **facts: Any) -> None:
    weights = {str(number): weight.numpy() for number, weight in enumerate(model.weights)}
    np.savez(folder / f"{name}.rank{run.rank}.npz", **weights, **facts)


def batch_norm() -> None:
    """One step, under a policy that would be XLA's if Horovod could be compiled."""
    own_x, own_y = run.shard(x, y)
    model = model_of(keras.layers.BatchNormalization(momentum=0.9))
    model.compile(run.distribute(keras.optimizers.SGD(0.01)), "mse", jit_compile=True)
    model.fit(own_x, own_y, batch_size=len(own_x), epochs=1, verbose=0, callbacks=run.callbacks())
    keep("batch_norm", model, x=own_x)


def two_fits_with_dropout() -> None:
    """Keeps what the run directory says of the progress after the first step of each fit."""
    own_x, own_y = run.shard(x, y)
    model = model_of(keras.layers.Dense(8), keras.layers.Dropout(0.5))
    model.compile(run.distribute(keras.optimizers.Adam(0.01)), "mse")
    progress = Path(run.run_dir or "") / "progress.json"
    seen: list[str] = []

    def look(batch: int, logs: object) -> None:
        if batch == 0 and run.is_chief:
            seen.append(progress.read_text())

    for epochs in (1, 2):
        look_on = keras.callbacks.LambdaCallback(on_train_batch_end=look)
        model.fit(own_x, own_y, batch_size=5, epochs=epochs, verbose=0, callbacks=run.callbacks(look_on))
    keep("two_fits", model, progress=seen)


def early_stopping() -> None:
    """Rank 1 validates against the opposite targets: by its own loss it would stop at once, and rank 0 never."""
    model = model_of()
    model.compile(run.distribute(keras.optimizers.SGD(0.02)), "mse")
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=0)
    own_y = y if run.rank == 0 else -3 * y
    history = model.fit(
        *run.shard(x, y), batch_size=5, epochs=30, verbose=0, validation_data=(x, own_y), callbacks=run.callbacks(stop)
    )
    keep("early_stopping", model, val_loss=history.history["val_loss"])


def float16() -> None:
    """In the second of four steps, rank 1 alone meets a sample whose gradient is too large for float16."""
    keras.config.set_dtype_policy("mixed_float16")
    own_x, own_y = (0.1 * part for part in run.shard(x, y))
    if run.rank == 1:
        own_x[7] = 60_000.0
    model = model_of()
    optimizer = run.distribute(keras.optimizers.SGD(0.001))
    model.compile(optimizer, "mse")
    model.fit(own_x, own_y, batch_size=5, epochs=1, shuffle=False, verbose=0, callbacks=run.callbacks())
    keep("float16", model, scale=optimizer.dynamic_scale.numpy(), steps=optimizer.inner_optimizer.iterations.numpy())


batch_norm()
two_fits_with_dropout()
early_stopping()
float16()
