"""Batch normalisation over the global batch, for any strategy.

The documented default is per-replica statistics, as in Horovod and tf.distribute: each replica normalises by the mean
and variance of its own slice. Here each layer combines counts, means and centred squares of all replicas first, so that
a step with N ranks normalises as one rank with the whole batch does, to rounding.

Each replica centres its squares by its own mean; the spread of the means is summed in double precision (Chan, Golub,
LeVeque: Algorithms for computing the sample variance, The American Statistician 37, 1983). E[x^2] - E[x]^2 in float32
would lose the variance of activations whose mean is large beside their deviation.
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
            layer._moments = GlobalMoments(layer, strategy, f"batch_norm.{number}")


class GlobalMoments:
    """The moments of all replicas' inputs of a layer. Called, it takes the place of Keras's ``_moments``."""

    def __init__(self, layer: Layer, strategy: Strategy, name: str) -> None:
        """name: of what it sums, among all that is summed at the same time."""
        self._layer, self._strategy, self._name = layer, strategy, name

    def __call__(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """*graph*: return mean and variance, differentiable."""
        import tensorflow as tf

        if mask is not None:
            raise NotImplementedError("--sync-batch-norm: masked inputs are not supported")
        axes = [axis for axis in range(len(inputs.shape)) if axis != self._layer.axis % len(inputs.shape)]
        x = tf.cast(inputs, tf.float32)
        count = tf.cast(tf.size(x) / tf.shape(x)[self._layer.axis], tf.float32)
        shift = tf.stop_gradient(tf.reduce_mean(x, axes, keepdims=True))  # of the mean, but for its rounding
        centred = x - shift
        rest = tf.cast(tf.reduce_mean(centred, axes), tf.float64)
        count = tf.cast(count, tf.float64)
        within = tf.cast(tf.reduce_sum(tf.square(centred), axes), tf.float64) - rest * rest * count
        own = tf.cast(tf.reshape(shift, [-1]), tf.float64) + rest
        mean, variance, _ = self.combine(own, within, count)
        return tf.cast(mean, inputs.dtype), tf.cast(variance, inputs.dtype)

    def combine(self, mean: Tensor, within: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """*graph*: return mean, variance and number of rows of all replicas, from this one's in double precision.

        within: the sum of its squares about its mean.
        """
        import tensorflow as tf

        parts = [tf.stack([mean * count, mean * mean * count, within]), count]
        total, samples = self._strategy.reduce(parts, name=self._name)
        mean = total[0] / samples
        return mean, tf.maximum((total[1] - mean * mean * samples + total[2]) / samples, 0.0), samples

    def add(self, tensor: Tensor) -> Tensor:
        """*graph*: sum a tensor over the replicas in back-propagation."""
        (total,) = self._strategy.reduce([tensor], name=f"{self._name}.gradient")
        return total
