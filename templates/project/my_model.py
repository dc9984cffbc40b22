"""The network: change it as you like. hpcnn gives it the shape of one sample and the number of classes."""

import keras


def build(input_shape: tuple[int, ...], classes: int, width: int = 16) -> keras.Model:
    """Return a network of one convolution; ``--model-arg width=32`` makes it wider."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(width, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
