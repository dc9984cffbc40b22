"""A user's own script, as docs/own-script.md has it, with less to do. First argument: epochs."""

import sys

import keras
import numpy as np
from sklearn.datasets import load_digits

import hpcnn

run = hpcnn.init()

digits = load_digits()
x = (digits.images / 16.0).astype("float32").reshape(-1, 64)
order = np.random.default_rng(1).permutation(len(x))
x, y = x[order], digits.target[order]
x_train, y_train, x_test, y_test = x[:1437], y[:1437], x[1437:], y[1437:]
x_train, y_train = run.shard(x_train, y_train)

keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, activation="softmax")])
model.compile(
    optimizer=run.distribute(keras.optimizers.SGD(0.1)),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
model.fit(
    x_train,
    y_train,
    batch_size=64 // run.size,
    epochs=int(sys.argv[1]),
    validation_data=(x_test, y_test),
    verbose=run.verbose,
    callbacks=run.callbacks(),
)
