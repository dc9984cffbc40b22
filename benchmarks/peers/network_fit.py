"""``model.fit`` of a network by name on images in colour, as Keras trains it: the same network, data, batch and SGD.

``python network_fit.py MODEL ARGUMENTS DATA.npz PRECISION EPOCHS BATCH THREADS SEED`` prints one JSON object as
``lecture_fit.py`` does. ARGUMENTS: the model's keywords, as JSON. With EPOCHS 0 it does rounds of steps for
``steps.py`` instead.
"""

from __future__ import annotations

import json
import sys

import keras
from lecture_fit import Clock, begin
from rounds import serve

from hpcnn.models.registry import build
from hpcnn.zoo.registry import is_zoo


def main(
    name: str, arguments: str, file: str, precision: str, epochs: str, batch: str, threads: str, seed: str
) -> None:
    """Train and print."""
    x, y, x_test, y_test = begin(file, precision, threads, seed)
    x, x_test = x.astype("float32"), x_test.astype("float32")
    shape, classes = (None, None) if is_zoo(name) else (x.shape[1:], 10)
    model = build(name, input_shape=shape, classes=classes, arguments=json.loads(arguments))
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    if epochs == "0":
        size = int(batch)
        model.fit(x[: 2 * size], y[: 2 * size], batch_size=size, verbose=0)
        serve(size, lambda _, steps: model.fit(x[: steps * size], y[: steps * size], batch_size=size, verbose=0))
        return
    clock = Clock()
    model.fit(x, y, batch_size=int(batch), epochs=int(epochs), verbose=2, callbacks=[clock])
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(json.dumps({"seconds": clock.seconds, "samples": len(x), "test_accuracy": float(accuracy)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
