"""The lecture's Horovod script on Keras 3: one import is hpcnn's. `mpirun -np 2 python horovod_script.py`."""

import math

import hpcnn.horovod as hvd
import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

hvd.init()
gpus = tf.config.list_physical_devices("GPU")
if gpus:
    tf.config.set_visible_devices(gpus[hvd.local_rank()], "GPU")
    tf.config.experimental.set_memory_growth(gpus[hvd.local_rank()], True)

digits = load_digits()
x = (digits.images / 16.0).astype("float32")[..., None]
y = keras.utils.to_categorical(digits.target, 10)
order = np.random.default_rng(1).permutation(len(x))
x_train, y_train, x_test, y_test = x[order[:1437]], y[order[:1437]], x[order[1437:]], y[order[1437:]]


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
        optimizer=hvd.DistributedOptimizer(keras.optimizers.Adadelta(1.0 * hvd.size())),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


keras.utils.set_random_seed(1 + hvd.rank())
model = make_model()
callbacks = [hvd.callbacks.BroadcastGlobalVariablesCallback(0)]
if hvd.rank() == 0:
    callbacks.append(keras.callbacks.ModelCheckpoint("checkpoint-{epoch}.keras"))
history = model.fit(
    x_train,
    y_train,
    batch_size=128,
    epochs=math.ceil(12.0 / hvd.size()),
    validation_data=(x_test, y_test),
    verbose=2 if hvd.rank() == 0 else 0,
    callbacks=callbacks,
)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"rank {hvd.rank()} of {hvd.size()}: test loss {loss:.4f}, test accuracy {accuracy:.4f}")
