"""Layer and group normalization in fewer passes: values and gradients of Keras's own."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from hpcnn.train.rewrite import rewrites, rewritten  # noqa: E402

LAYER, GROUP = (f"{kind} normalization in fewer passes" for kind in ("layer", "group"))


def normalized(layer: Any, values: Any, *, rewrite: bool) -> list[Any]:
    """Return outputs, and the gradients of values and weights."""
    model = keras.Sequential([keras.Input(values.shape[1:]), layer])

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(values: Any) -> Any:
        with rewritten(model) if rewrite else nullcontext(), tf.GradientTape() as tape:
            tape.watch(values)
            out = model(values, training=True)
            loss = tf.reduce_sum(tf.sin(3.0 * tf.cast(out, tf.float32)))
        return out, tape.gradient(loss, [values, *(v.value for v in model.trainable_variables)])

    out, gradients = compute(values)
    return [np.asarray(tf.cast(part, tf.float64)) for part in (out, *gradients)]


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        (LAYER, (7,), {}),
        (LAYER, (5, 6, 12), {"epsilon": 1e-6}),
        (LAYER, (5, 12), {"scale": False}),
        (LAYER, (5, 12), {"center": False}),
        (LAYER, (5, 12), {"center": False, "scale": False}),
        (LAYER, (4, 6, 8), {"dtype": "mixed_bfloat16"}),
        (GROUP, (5, 6, 12), {"groups": 4}),
        (GROUP, (5, 12), {"groups": 1, "scale": False}),
        (GROUP, (5, 12), {"groups": -1, "center": False}),
        (GROUP, (4, 6, 8), {"groups": 2, "dtype": "mixed_bfloat16"}),
    ],
)
def test_outputs_and_gradients_are_those_of_keras(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    layer = (keras.layers.LayerNormalization if name == LAYER else keras.layers.GroupNormalization)(**options)
    layer.build((None, *shape))
    draw = np.random.default_rng(2)
    for variable in layer.weights:
        variable.assign(draw.uniform(0.5, 2.0, variable.shape))
    values = tf.cast(draw.normal(1.0, 2.0, (9, *shape)), layer.compute_dtype)
    assert rewrites(keras.Sequential([keras.Input(shape), layer])) == {name: 1}
    theirs, ours = (normalized(layer, values, rewrite=rewrite) for rewrite in (False, True))
    precision = 2e-6 if layer.compute_dtype == "float32" else 0.03
    for mine, expected in zip(ours, theirs, strict=True):
        tolerance = 5 * precision * max(float(np.abs(expected).max()), 1.0)
        np.testing.assert_allclose(mine, expected, rtol=0, atol=tolerance)


def test_other_axes_and_types_are_left_to_keras() -> None:
    for options in ({"axis": 1}, {"axis": [1, 2]}, {"dtype": "float64"}):
        assert rewrites(keras.Sequential([keras.Input((5, 6)), keras.layers.LayerNormalization(**options)])) == {}
