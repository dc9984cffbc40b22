"""A script for Horovod's Keras interface that trains many small networks, in cases.

``python -m tests.horovod.many_cases FOLDER [CASE...]``: each case writes FOLDER/NAME.rankN.npz: all weights, and what
else the tests want to see. Two ranks see the same global batches as one process does, so they must end with its
weights. Ranks begin with weights of their own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import hpcnn.horovod as hvd
from hpcnn.errors import UsageError

folder = Path(sys.argv[1])
IS_LONG = bool(os.environ.get("HPCNN_TEST_LONG"))
SAMPLES, BATCH, EPOCHS, WARMUP_RANKS = 64, 16, 2, 2
generator = np.random.default_rng(5)
X = generator.normal(size=(SAMPLES, 3)).astype(np.float32)
Y = (X @ [[1.0], [-1.0], [0.5]] + 0.3).astype(np.float32)
WORDS = generator.integers(0, 7, (SAMPLES, 4))  # of 50: every batch meets some of them twice, and most never

CASES: dict[str, Callable[[], None]] = {}


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES[function.__name__] = function
    return function


def long_case(function: Callable[[], None]) -> Callable[[], None]:
    """Note a case for `make test-long` alone: many_cases_names.py says what proves the same."""
    return case(function) if IS_LONG else function


def own(*arrays: Any) -> list[Any]:
    """Return this rank's part: the ranks' batches of a step are together the batch of one process."""
    return [array[hvd.rank() :: hvd.size()] for array in arrays]


def network(root: int = 0, **options: Any) -> Any:
    keras.utils.set_random_seed(1 + (hvd.rank() if hvd.size() > 1 else root))
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)], **options)


def table() -> Any:
    keras.utils.set_random_seed(1 + hvd.rank())
    layers = [keras.layers.Embedding(50, 3), keras.layers.Flatten(), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input((4,), dtype="int32"), *layers])


def fit(model: Any, optimizer: Any, *, x: Any = X, batch: int = BATCH, root: int = 0, **options: Any) -> Any:
    own_x, own_y = own(x, Y)
    model.compile(optimizer, "mse", **{name: options.pop(name) for name in ("jit_compile",) if name in options})
    callbacks = [hvd.callbacks.BroadcastGlobalVariablesCallback(root), *options.pop("callbacks", ())]
    how = {"batch_size": batch // hvd.size(), "epochs": EPOCHS, "shuffle": False, "verbose": 0, **options}
    return model.fit(own_x, own_y, callbacks=callbacks, **how)


def keep(name: str, model: Any, **facts: Any) -> None:
    weights = {str(number): weight.numpy() for number, weight in enumerate(model.weights)}
    np.savez(folder / f"{name}.rank{hvd.rank()}.npz", **weights, **facts)


def train(name: str, optimizer: Any, model: Any = None, **options: Any) -> Any:
    model = model or network()
    fit(model, optimizer, **options)
    keep(name, model, iterations=int(model.optimizer.iterations.numpy()))
    return model


SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam


@case
def clipped_momentum() -> None:
    train("clipped_momentum", hvd.DistributedOptimizer(SGD(0.05, momentum=0.9, clipnorm=0.1)))


@long_case
def clipped_adam() -> None:
    train("clipped_adam", hvd.DistributedOptimizer(Adam(0.01, global_clipnorm=0.05)))


@case
def summed() -> None:
    train("summed", hvd.DistributedOptimizer(SGD(0.05 / hvd.size()), op=hvd.Sum))


@case
def whole_batches() -> None:
    train("whole_batches", hvd.DistributedOptimizer(SGD(0.05), gradient_predivide_factor=4.0))


@case
def grouped() -> None:
    train("grouped", hvd.DistributedOptimizer(SGD(0.05), groups=2))


@long_case
def grouped_by_lists() -> None:
    model = network()
    first, second = (layer.trainable_variables for layer in model.layers)
    train("grouped_by_lists", hvd.DistributedOptimizer(SGD(0.05), groups=[first, second[:1]]), model)


@case
def compressed() -> None:
    train("compressed", hvd.DistributedOptimizer(SGD(0.05), compression=hvd.Compression.fp16))


@case
def averaged() -> None:
    """Weights that Keras averages, and puts in place at the end of the training."""
    train("averaged", hvd.DistributedOptimizer(SGD(0.05, use_ema=True, ema_momentum=0.5)))


@case
def swapped() -> None:
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    train("swapped", hvd.DistributedOptimizer(SGD(0.05, use_ema=True, ema_momentum=0.5)), callbacks=[swap])


@case
def half_batches() -> None:
    """Two batches of half the size a step are one batch of the whole."""
    mean = hvd.DistributedOptimizer(SGD(0.05), backward_passes_per_step=2, average_aggregated_gradients=True)
    train("half_batches", mean, batch=BATCH // 2)


@long_case
def half_batches_summed() -> None:
    """For the sum, half the rate is what one batch of the whole has."""
    train("half_batches_summed", hvd.DistributedOptimizer(SGD(0.025), backward_passes_per_step=2), batch=BATCH // 2)


@long_case
def half_batches_adam() -> None:
    mean = hvd.DistributedOptimizer(Adam(0.01), backward_passes_per_step=2, average_aggregated_gradients=True)
    train("half_batches_adam", mean, batch=BATCH // 2)


@case
def half_batches_table() -> None:
    clipped = SGD(0.05, global_clipnorm=0.5)
    mean = hvd.DistributedOptimizer(clipped, backward_passes_per_step=2, average_aggregated_gradients=True)
    train("half_batches_table", mean, table(), x=WORDS, batch=BATCH // 2)


@case
def rows() -> None:
    train("rows", hvd.DistributedOptimizer(Adam(0.01)), table(), x=WORDS)
    train("rows_sgd", hvd.DistributedOptimizer(SGD(0.05, global_clipnorm=0.5)), table(), x=WORDS)


@long_case
def rows_as_dense() -> None:
    train("rows_as_dense", hvd.DistributedOptimizer(Adam(0.01), sparse_as_dense=True), table(), x=WORDS)


@case
def compiled() -> None:
    """With XLA, which one process may use and Horovod's operations may not."""
    train("compiled", hvd.DistributedOptimizer(SGD(0.05)), jit_compile=True)


@long_case
def compiled_rows() -> None:
    train("compiled_rows", hvd.DistributedOptimizer(Adam(0.01)), table(), x=WORDS, jit_compile=True)


@case
def other_root() -> None:
    train("other_root", hvd.DistributedOptimizer(SGD(0.05)), network(root=1), root=1 if hvd.size() > 1 else 0)


@case
def eager() -> None:
    model = network()
    optimizer = hvd.DistributedOptimizer(SGD(0.05), backward_passes_per_step=2, average_aggregated_gradients=True)
    model.compile(optimizer, "mse", run_eagerly=True)
    hvd.broadcast_variables(model.weights, 0)
    own_x, own_y = own(X, Y)
    each = BATCH // 2 // hvd.size()
    for _ in range(EPOCHS):
        for start in range(0, len(own_x), each):
            model.train_on_batch(own_x[start : start + each], own_y[start : start + each])
    keep("eager", model)


@case
def float16() -> None:
    """In the second of four steps, one sample has a gradient that is too large for float16: rank 1 alone meets it."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        x = 0.1 * X
        x[BATCH + 1] = 60_000.0
        optimizer = hvd.DistributedOptimizer(SGD(0.05))
        model = train("float16", optimizer, x=x, epochs=1)
        scale = float(optimizer.dynamic_scale.numpy())
        keep("float16", model, scale=scale, steps=int(optimizer.iterations.numpy()), of=type(optimizer).__name__)
    finally:
        keras.config.set_dtype_policy("float32")


@case
def scaled_outside() -> None:
    """Keras itself puts the scaling around the distributed optimizer of a model with a policy of its own."""
    keras.config.set_dtype_policy("mixed_float16")
    model = network()
    keras.config.set_dtype_policy("float32")
    optimizer = hvd.DistributedOptimizer(SGD(0.05))
    keras.config.set_dtype_policy("mixed_float16")
    model.compile(optimizer, "mse")
    keras.config.set_dtype_policy("float32")
    try:
        model.train_on_batch(X[:4], Y[:4])
    except UsageError as error:
        keep("scaled_outside", model, error=str(error))


class Velocity(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes the learning rate of each batch."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.first = [weight.numpy() for weight in self.model.weights]
        self.rates: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.rates.append(float(self.model.optimizer.learning_rate.numpy()))


def line() -> Any:
    keras.utils.set_random_seed(1 + hvd.rank())
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


@case
def warmup() -> None:
    """One process takes the same rates from a schedule; tests/horovod computes the weights in NumPy."""
    seen = Velocity()
    if hvd.size() > 1:
        rates = hvd.callbacks.LearningRateWarmupCallback(0.2, warmup_epochs=1, verbose=1)
    else:
        steps = SAMPLES // BATCH
        share = lambda epoch: (1 + (epoch + 1 / steps) * (WARMUP_RANKS - 1)) / WARMUP_RANKS  # noqa: E731
        rates = hvd.callbacks.LearningRateScheduleCallback(0.2, share, end_epoch=1, staircase=False)
    model = line()
    history = fit(model, hvd.DistributedOptimizer(SGD(0.2, momentum=0.9)), callbacks=[rates, seen])
    first = {f"first{number}": value for number, value in enumerate(seen.first)}
    keep("warmup", model, rates=seen.rates, logged=history.history["lr"], **first)


@case
def schedule() -> None:
    rates = [
        hvd.callbacks.LearningRateScheduleCallback(0.2, 0.5, end_epoch=3),
        hvd.callbacks.LearningRateScheduleCallback(0.2, lambda epoch: 0.1 * epoch, start_epoch=3, end_epoch=5),
    ]
    model = line()
    history = fit(model, hvd.DistributedOptimizer(SGD(0.2)), callbacks=rates, epochs=6)
    keep("schedule", model, logged=history.history["lr"])


@case
def metrics() -> None:
    """Without the callback that broadcasts: logs are averaged, nothing else."""
    keras.utils.set_random_seed(1)
    model = line()
    model.compile(hvd.DistributedOptimizer(SGD(0.01)), "mse", metrics=["mae"])
    before, after = Logged(), Logged()
    own_x, own_y = own(X, Y + 5.0 * hvd.rank())
    average = hvd.callbacks.MetricAverageCallback()
    model.fit(own_x, own_y, batch_size=8, epochs=1, verbose=0, callbacks=[before, average, after])
    keep("metrics", model, **{f"own_{k}": v for k, v in before.logs.items()}, **after.logs)


class Logged(keras.callbacks.Callback):  # type: ignore[misc]
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.logs = dict(logs)


class Own(keras.optimizers.SGD):  # type: ignore[misc]
    """An optimizer of the user's own."""


@case
def loaded() -> None:
    """A model that was saved goes on as the one that was not."""
    model = network()
    fit(model, hvd.DistributedOptimizer(Own(0.05, momentum=0.9)))
    if hvd.rank() == 0:
        model.save(folder / "saved.keras")
    hvd.allreduce(0.0)  # nobody reads before rank 0 has written
    again = hvd.load_model(folder / "saved.keras", custom_optimizers=[Own])
    own_x, own_y = own(X, Y)
    for one, name in ((model, "not_saved"), (again, "saved_and_loaded")):
        one.fit(own_x, own_y, batch_size=BATCH // hvd.size(), shuffle=False, verbose=0)
        keep(name, one, of=type(one.optimizer).__name__)


@case
def best() -> None:
    model = network()
    os.chdir(folder)
    best = hvd.callbacks.BestModelCheckpoint(monitor="loss", filepath=f"best.{hvd.size()}.keras")
    fit(model, hvd.DistributedOptimizer(SGD(0.05)), callbacks=[best])
    keep("best", model)


@case
def operations() -> None:
    rank = float(hvd.rank())
    values = {
        "mean": hvd.allreduce([rank, 1.0]),
        "total": hvd.allreduce(np.array([rank]), op=hvd.Sum),
        "not_average": hvd.allreduce([rank], average=False),
        "scaled": hvd.allreduce([rank], prescale_factor=2.0, postscale_factor=3.0, op=hvd.Sum),
        "rows": hvd.allgather([[rank]] * (hvd.rank() + 1)),
        "of_last": hvd.broadcast(keras.Variable([rank]), hvd.size() - 1),
        "part": hvd.reducescatter([rank, rank + 10.0], op=hvd.Sum),
        "adasum": hvd.allreduce([rank + 1.0, 0.0], op=hvd.Adasum),
    }
    np.savez(folder / f"operations.rank{hvd.rank()}.npz", **{name: np.array(value) for name, value in values.items()})


@case
def digits_from_a_dataset() -> None:
    """The form of Horovod's own example for Keras: an unbuilt model, a repeated dataset, all the callbacks."""
    digits = load_digits()
    images, labels = digits.images[..., None].astype("float32") / 16, digits.target
    dataset = tf.data.Dataset.from_tensor_slices((images[:1280], labels[:1280]))
    dataset = dataset.shard(hvd.size(), hvd.rank()).repeat().batch(128 // hvd.size())
    keras.utils.set_random_seed(1 + hvd.rank())
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Conv2D(8, [3, 3], activation="relu"),
            tf.keras.layers.MaxPooling2D(pool_size=(2, 2)),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(10, activation="softmax"),
        ]
    )
    rate = 0.005 * hvd.size()
    optimizer = hvd.DistributedOptimizer(
        tf.optimizers.Adam(rate), backward_passes_per_step=1, average_aggregated_gradients=True
    )
    model.compile(loss=tf.losses.SparseCategoricalCrossentropy(), optimizer=optimizer, metrics=["accuracy"])
    callbacks = [hvd.callbacks.BroadcastGlobalVariablesCallback(0), hvd.callbacks.MetricAverageCallback()]
    if hvd.size() > 1:
        callbacks.append(hvd.callbacks.LearningRateWarmupCallback(initial_lr=rate, warmup_epochs=3, verbose=1))
    else:
        share = lambda epoch: 2.0 * (1 + (epoch + 1 / 10) / 3) / 2  # noqa: E731
        callbacks.append(hvd.callbacks.LearningRateScheduleCallback(rate, share, end_epoch=3, staircase=False))
    if hvd.rank() == 0:
        callbacks.append(tf.keras.callbacks.ModelCheckpoint(str(folder / f"form.{hvd.size()}-{{epoch}}.keras")))
    verbose = 2 if hvd.rank() == 0 else 0
    history = model.fit(dataset, steps_per_epoch=10, callbacks=callbacks, epochs=4, verbose=verbose)
    keep("digits_from_a_dataset", model, lr=history.history["lr"], accuracy=history.history["accuracy"])


if __name__ == "__main__":
    hvd.init()
    hvd.init()  # as scripts made of parts do
    folder.mkdir(exist_ok=True)
    for name in sys.argv[2:] or CASES:
        CASES[name]()
