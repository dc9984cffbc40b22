"""A model and data of a user's own, small enough that records with weights stay small."""

import keras
from sklearn.datasets import load_digits


def build(input_shape, classes, width=4, dropout=0.2):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.AveragePooling2D(4),
            keras.layers.Conv2D(width, 3, activation="relu", name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dropout(dropout, name="drop"),
            keras.layers.Dense(classes, activation="softmax", name="answer"),
        ]
    )


def load():
    digits = load_digits()
    x, y = digits.images.astype("float32")[..., None] / 16, digits.target
    return (x[:300], y[:300]), (x[300:400], y[300:400])


def plain(input_shape, classes):
    layers = [keras.layers.AveragePooling2D(4), keras.layers.Flatten(), keras.layers.Dense(classes, "softmax")]
    return keras.Sequential([keras.Input(input_shape), *layers])
