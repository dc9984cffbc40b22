"""A script in the form of TensorFlow's own tutorial on several workers: it needs TF_CONFIG. Prints the ranks' sum."""

from __future__ import annotations

import json
import os

import tensorflow as tf

number = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
strategy = tf.distribute.MultiWorkerMirroredStrategy()


def total() -> tf.Tensor:
    return tf.distribute.get_replica_context().all_reduce("sum", tf.constant(float(10**number)))


print(f"worker {number} of {strategy.num_replicas_in_sync}: {float(strategy.run(total)):g}", flush=True)
