"""Stage 2: all GPUs of one node, in one process: MirroredStrategy keeps a replica of the model on each."""

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

if tf.config.list_physical_devices("GPU"):
    strategy = tf.distribute.MirroredStrategy()
else:  # to try it without a GPU: two logical devices that share the cores
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["/CPU:0", "/CPU:1"])
print(f"{strategy.num_replicas_in_sync} replicas")

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
        optimizer=keras.optimizers.Adadelta(1.0),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


keras.utils.set_random_seed(1)
with strategy.scope():
    model = make_model()
history = model.fit(
    x_train,
    y_train,
    batch_size=128,
    epochs=12,
    validation_data=(x_test, y_test),
    verbose=2,
)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")
