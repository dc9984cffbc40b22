"""silu and hard_silu with gradients of their own, against Keras's, at their corners and far from 0 too."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from hpcnn.train.rewrite import rewrites, rewritten  # noqa: E402


@pytest.mark.parametrize("name", ["silu", "swish", "hard_silu", "hard_swish"])
def test_values_and_gradients_are_those_of_keras(name: str) -> None:
    model = keras.Sequential([keras.Input((5, 5, 2)), keras.layers.Activation(name)])
    values = np.random.default_rng(1).normal(scale=3, size=(4, 5, 5, 2)).astype(np.float32)
    values.flat[:8] = [0, -0.0, 3, -3, 6, 100, -100, 2.9999998]
    assert rewrites(model) == {"silu in fewer passes": 1}
    expected, found = (_values_and_gradient(model, values, rewrite) for rewrite in (False, True))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float64"])
def test_other_types_and_classes_stay(dtype: str) -> None:
    class Own(keras.layers.Activation):  # type: ignore[misc, name-defined]
        pass

    layers = [keras.layers.Activation("silu", dtype=dtype), Own("silu"), keras.layers.Activation("gelu")]
    assert rewrites(keras.Sequential([keras.Input((5, 5, 2)), *layers])) == {}


def _values_and_gradient(model: Any, values: Any, rewrite: bool) -> list[Any]:
    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(values: Any) -> Any:
        with rewritten(model) if rewrite else nullcontext(), tf.GradientTape() as tape:
            tape.watch(values)
            activated = model(values, training=True)
            loss = tf.reduce_sum(tf.sin(activated))
        return activated, tape.gradient(loss, values)

    return [part.numpy() for part in compute(tf.constant(values))]
