"""Batch normalisation over the global batch, for any strategy.

The documented default is per-replica statistics, as in Horovod and tf.distribute: each replica normalises by the mean
and variance of its own slice. Here each layer sums counts, values and squares over all replicas first, so that a step
with N ranks normalises exactly as one rank with the whole batch does.
"""

from __future__ import annotations

from hpcnn.parallel.base import Strategy
from hpcnn.util.types import KerasModel, Layer, Tensor


def synchronize(model: KerasModel, strategy: Strategy) -> None:
    """Make every BatchNormalization layer of the model use global moments while training."""
    import keras

    if strategy.size == 1:
        return
    layers = model._flatten_layers(include_self=False, recursive=True)
    for number, layer in enumerate(layers):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer._moments = _global_moments(layer, strategy, f"batch_norm.{number}")


def _global_moments(layer: Layer, strategy: Strategy, name: str) -> Tensor:
    import tensorflow as tf

    def moments(inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if mask is not None:
            raise NotImplementedError("--sync-batch-norm: masked inputs are not supported")
        axes = [axis for axis in range(len(inputs.shape)) if axis != layer.axis % len(inputs.shape)]
        x = tf.cast(inputs, tf.float32)
        count = tf.cast(tf.size(x) / tf.shape(x)[layer.axis], tf.float32)
        local = tf.stack([tf.reduce_sum(x, axes), tf.reduce_sum(x * x, axes)])
        total, samples = strategy.reduce([local, count], name=name)
        mean = total[0] / samples
        variance = tf.maximum(total[1] / samples - mean * mean, 0.0)
        return tf.cast(mean, inputs.dtype), tf.cast(variance, inputs.dtype)

    return moments
