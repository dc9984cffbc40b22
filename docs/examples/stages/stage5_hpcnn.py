"""Stage 5: with hpcnn: `hpcnn submit --ntasks 2 -- python docs/examples/stages/stage5_hpcnn.py`."""

import keras
import numpy as np
from sklearn.datasets import load_digits

import hpcnn

run = hpcnn.init()

digits = load_digits()
x = (digits.images / 16.0).astype("float32")[..., None]
y = keras.utils.to_categorical(digits.target, 10)
order = np.random.default_rng(1).permutation(len(x))
x_train, y_train, x_test, y_test = x[order[:1437]], y[order[:1437]], x[order[1437:]], y[order[1437:]]
x_train, y_train = run.shard(x_train, y_train)


def make_model():
    """Return the network, compiled."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Dropout(0.25),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=run.distribute(keras.optimizers.Adadelta(1.0)),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


keras.utils.set_random_seed(1)
model = make_model()
history = model.fit(
    x_train,
    y_train,
    batch_size=128 // run.size,
    epochs=12,
    validation_data=(x_test, y_test),
    verbose=run.verbose,
    callbacks=run.callbacks(),
)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
if run.is_chief:
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")
