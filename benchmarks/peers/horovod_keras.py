"""Horovod on Keras 3 as its own example for TensorFlow 2 has it (examples/tensorflow2/tensorflow2_mnist.py, 0.28.1).

tf.data with shuffle and batch on every rank, a compiled step with ``DistributedGradientTape``, a Python loop over the
steps, and Horovod's default settings. Not ``fit``: on Keras 3, Horovod's optimizer trains there without reducing.

``mpirun -np N python horovod_keras.py MODEL DATA.npz EPOCHS GLOBAL_BATCH SCALE THREADS SEED SAMPLES`` prints, on rank
0, one JSON object: seconds of each epoch, and samples of an epoch over all ranks. Fails where the ranks end with
different weights.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import horovod.tensorflow as hvd
import keras
import numpy as np
import tensorflow as tf

from hpcnn.models.registry import build
from hpcnn.zoo.registry import recipe


def main(name: str, file: str, epochs: str, batch: str, scale: str, threads: str, seed: str, samples: str) -> None:
    """Train and print."""
    hvd.init()
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    keras.utils.set_random_seed(int(seed))
    with np.load(file) as data:
        x = data["x_train"][: int(samples)].reshape(-1, 28, 28, 1).astype("float32") * np.float32(scale)
        y = keras.utils.to_categorical(data["y_train"][: int(samples)], 10)
    local = int(batch) // hvd.size()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).repeat().shuffle(10_000, seed=hvd.rank()).batch(local)
    known = recipe(name)
    model = build(name)
    optimizer = keras.optimizers.SGD(known.learning_rate, momentum=known.momentum or 0.0)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.CategoricalCrossentropy()
    hvd.broadcast_variables([v.value for v in [*model.weights, *optimizer.variables]], root_rank=0)

    @tf.function  # type: ignore[untyped-decorator]
    def step(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
        tape = hvd.DistributedGradientTape(tape)
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    seconds, steps, batches = [], len(x) // int(batch), iter(dataset)
    for _ in range(int(epochs)):
        begin = time.perf_counter()
        for _ in range(steps):
            loss = step(*next(batches))
        float(loss)
        seconds.append(time.perf_counter() - begin)
    own = tf.concat([tf.reshape(v.value, [-1]) for v in model.trainable_variables], 0)
    apart = float(tf.reduce_max(tf.abs(own - hvd.broadcast(own, root_rank=0))))
    if apart > 1e-5:
        raise SystemExit(f"rank {hvd.rank()}: weights differ by {apart:g} from those of rank 0")
    if hvd.rank() == 0:
        print(json.dumps({"seconds": seconds, "samples": steps * local * hvd.size()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
