"""Batch normalization by the moments of two replicas: values and gradients of one are those of the whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from hpcnn.train.rewrite import rewrites, rewritten  # noqa: E402
from hpcnn.train.sync_batch_norm import GlobalMoments  # noqa: E402

OWN = 5  # of nine samples


class WithAnother:
    """A strategy of two replicas, whose other one adds given numbers: moments first, then sums of gradients."""

    def __init__(self, moments: Sequence[Any], sums: Any) -> None:
        self._others = {"a name": moments, "a name.gradient": [sums]}

    def reduce(self, tensors: Sequence[Any], name: str) -> list[Any]:
        return [a + tf.cast(b, a.dtype) for a, b in zip(tensors, self._others[name], strict=True)]


@pytest.mark.parametrize("channels", [7, 24, 32])
@pytest.mark.parametrize("shift", [0.0, 30.0])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_replica_normalizes_as_the_whole_batch_does(channels: int, shift: float, dtype: str) -> None:
    draw = np.random.default_rng(1)
    whole, upstream = (draw.normal(offset, 1.0, (9, 4, 6, channels)) for offset in (shift, 0.0))
    whole[OWN:] += 0.5  # so that the replicas' means differ
    layer = keras.layers.BatchNormalization(momentum=0.8, dtype=dtype)
    model = keras.Sequential([keras.Input(whole.shape[1:]), layer])
    for variable in layer.weights:
        variable.assign(draw.uniform(0.5, 2.0, variable.shape))
    values = tf.cast(whole, layer.compute_dtype)
    whole = np.asarray(tf.cast(values, tf.float64))

    scale, offset, mean_before, _ = (weight.numpy().astype(np.float64) for weight in layer.weights)
    axes = (0, 1, 2)
    mean, deviation = whole.mean(axes), np.sqrt(whole.var(axes) + layer.epsilon)
    normal = (whole - mean) / deviation
    of_values = scale / deviation * (upstream - upstream.mean(axes) - normal * (upstream * normal).mean(axes))
    other, count = whole[OWN:], float(4 * 6 * (len(whole) - OWN))
    other_mean = other.mean(axes)
    moments = [np.stack([other_mean * count, other_mean**2 * count, other.var(axes) * count]), count]
    sums = np.stack([(upstream * normal)[OWN:].sum(axes), upstream[OWN:].sum(axes)])
    layer._moments = GlobalMoments(layer, WithAnother(moments, sums), "a name")  # type: ignore[arg-type]
    assert rewrites(model) == {"fused batch normalization": 1}

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(values: Any) -> Any:
        with rewritten(model), tf.GradientTape() as tape:
            tape.watch(values)
            found = model(values, training=True)
        wanted = [values, layer.gamma.value, layer.beta.value]
        return found, tape.gradient(found, wanted, output_gradients=tf.cast(upstream[:OWN], found.dtype))

    found, gradients = compute(values[:OWN])
    expected = [(normal * scale + offset)[:OWN], of_values[:OWN]]
    expected += [(upstream * normal)[:OWN].sum(axes), upstream[:OWN].sum(axes)]
    tolerance = 1e-5 if dtype == "float32" else 0.03
    for ours, exact in zip((found, *gradients), expected, strict=True):
        bound = tolerance * max(float(np.abs(exact).max()), 1.0)
        np.testing.assert_allclose(np.asarray(tf.cast(ours, tf.float64)), exact, rtol=0, atol=bound)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.8 * mean_before + 0.2 * mean, rtol=1e-5, atol=1e-5)
