"""A user's script with loops and data of its own, one training after the other: ``python script_loops.py FOLDER``.

Each writes FOLDER/NAME.rankN.npz: all weights, and what else the tests want to see. What ranks must not share by
chance (first weights, shuffling) differs between them here: by seeds of the rank.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import hpcnn
from hpcnn.errors import RunError, UsageError
from hpcnn.train.failure import hint_of

run = hpcnn.init()
folder = Path(sys.argv[1])
generator = np.random.default_rng(11)
x = generator.normal(1.0, 2.0, (40, 3)).astype(np.float32)
y = (x @ [[1.0], [-1.0], [0.5]]).astype(np.float32)


def model_of(seed: int, *layers: Any) -> Any:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])


def keep(name: str, model: Any, **facts: Any) -> None:
    weights = {str(number): weight.numpy() for number, weight in enumerate(model.weights)}
    np.savez(folder / f"{name}.rank{run.rank}.npz", **weights, **facts)


def distribute_alone() -> None:
    """No callbacks of hpcnn's, an optimizer by name, and other first weights on each rank."""
    model = model_of(1 + run.rank)
    model.compile(run.distribute("adam"), "mse")
    model.fit(*run.shard(x, y), batch_size=20, epochs=3, shuffle=False, verbose=0)
    keep("distribute_alone", model)


def loop_of_ones_own() -> None:
    model = model_of(1 + run.rank)
    optimizer = run.distribute(keras.optimizers.SGD(0.01, momentum=0.9))
    run.broadcast(model)
    own_x, own_y = run.shard(x, y)

    @tf.function  # type: ignore[untyped-decorator]
    def step(batch_x: Any, batch_y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(batch_x) - batch_y))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, [v.value for v in variables]), variables, strict=True))
        return loss

    losses = []
    for _ in range(3):
        with run.epoch(samples=len(own_x), steps=2, batch_size=20) as epoch:
            for first in (0, 10):
                loss = step(own_x[first : first + 10], own_y[first : first + 10])
            epoch.end_training()
            epoch.log(loss=loss, val_rank=run.rank)
        losses.append(epoch.logs["loss"])
    run.check(model, optimizer)
    keep("loop", model, x=own_x, y=own_y, losses=losses)


def two_optimizers() -> None:
    """A loop in the form of a GAN's: two networks, each with an optimizer, in one traced step."""
    networks = [model_of(2 + run.rank), model_of(7 - run.rank)]
    optimizers = [run.distribute(keras.optimizers.SGD(rate)) for rate in (0.01, 0.02)]
    own_x, own_y = run.shard(x, y)

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> None:
        with tf.GradientTape(persistent=True) as tape:
            one, other = (network(own_x) for network in networks)
            losses = tf.reduce_mean(tf.square(one - own_y)), tf.reduce_mean(tf.square(other - tf.stop_gradient(one)))
        for loss, network, optimizer in zip(losses, networks, optimizers, strict=True):
            variables = network.trainable_variables
            optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    for _ in range(3):
        step()
    keep("two_optimizers", networks[1], x=own_x)


def a_loop_that_nothing_traces() -> None:
    model = model_of(1 + run.rank)
    optimizer = run.distribute(keras.optimizers.SGD(0.01))
    for _ in range(2):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - y))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
    keep("eager", model)


def dataset_of_unknown_length() -> None:
    def samples() -> Iterator[tuple[Any, Any]]:
        yield from zip(x[:37], y[:37], strict=True)

    signature = (tf.TensorSpec((3,)), tf.TensorSpec((1,)))
    data = tf.data.Dataset.from_generator(samples, output_signature=signature)
    model = model_of(1)
    model.compile(run.distribute(keras.optimizers.SGD(0.01)), "mse")
    own = run.shard(data)
    model.fit(own.batch(4), epochs=2, verbose=0, callbacks=run.callbacks())
    keep("unknown_length", model, x=np.stack([one for one, _ in own.as_numpy_iterator()]))


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        return x[8 * index : 8 * index + 8], y[8 * index : 8 * index + 8]


def batches_by_number() -> None:
    model = model_of(1)
    model.compile(run.distribute(keras.optimizers.SGD(0.01)), "mse")
    own = run.shard(Batches())
    model.fit(own, epochs=2, shuffle=False, verbose=0, callbacks=run.callbacks())
    keep("pydataset", model, x=np.stack([own[index][0] for index in range(len(own))]))


def numbers() -> None:
    gathered = run.gather(np.arange(3) + 10 * run.rank)
    means = run.mean({"a": float(run.rank), "b": [1.0, 3.0 * run.rank]})
    refused = ""
    try:
        run.gather(np.zeros(1 + run.rank))
    except UsageError as error:
        refused = str(error)
    try:
        run.check(model_of(run.rank))
    except RunError as error:
        refused += str(error)
    plain = tf.Variable(float(run.rank))
    run.broadcast(plain)
    keep(
        "numbers",
        model_of(1),
        plain=plain.numpy(),
        gathered=gathered,
        mean_a=means["a"],
        mean_b=means["b"],
        refused=refused,
    )


def compiled_by_xla() -> None:
    model = model_of(1)
    optimizer = run.distribute(keras.optimizers.SGD(0.01))

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - y))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    hint = ""
    try:
        step()
    except tf.errors.OpError as error:
        hint = hint_of(error) or str(error)
    keep("xla", model, hint=hint)


distribute_alone()
loop_of_ones_own()
two_optimizers()
a_loop_that_nothing_traces()
dataset_of_unknown_length()
batches_by_number()
numbers()
compiled_by_xla()
