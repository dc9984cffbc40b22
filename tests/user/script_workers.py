"""A script in the form of TensorFlow's own tutorial on several workers: it needs TF_CONFIG. Prints the ranks' sum."""

from __future__ import annotations

import json
import os

import tensorflow as tf

number = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
strategy = tf.distribute.MultiWorkerMirroredStrategy()


@tf.function  # type: ignore[untyped-decorator]
def total() -> tf.Tensor:
    own = tf.constant(float(10**number))
    return strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("sum", own))


print(f"worker {number} of {strategy.num_replicas_in_sync}: {float(total()):g}", flush=True)
