"""Depthwise and separable convolutions, against Keras's own, in float32 and in bfloat16 (against float64)."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from hpcnn.train.rewrite import rewrites, rewritten  # noqa: E402

Layers = keras.layers

Case = tuple[str, int | None, int | None, Any]

SLOW: list[Case] = [
    ("DepthwiseConv2D", 9, 9, {"kernel_size": 5}),
    ("DepthwiseConv2D", 14, 11, {"kernel_size": 5, "strides": 2, "padding": "same", "activation": "relu"}),
    ("DepthwiseConv2D", 2, 3, {"kernel_size": 3, "padding": "same"}),
    ("DepthwiseConv2D", 8, 8, {"kernel_size": 5, "depth_multiplier": 2, "padding": "same"}),
    ("DepthwiseConv2D", 4, 4, {"kernel_size": 5, "padding": "same"}),
    ("DepthwiseConv2D", 7, 6, {"kernel_size": 5, "padding": "same", "strides": 2, "activation": "relu"}),
    ("DepthwiseConv2D", 8, 8, {"kernel_size": (7, 5), "use_bias": False}),
    ("DepthwiseConv2D", 2, 2, {"kernel_size": 5, "padding": "same", "strides": 2}),
    ("SeparableConv2D", 6, 6, {"kernel_size": 5, "filters": 4, "padding": "same", "activation": "tanh"}),
    ("SeparableConv2D", 9, 9, {"kernel_size": 3, "filters": 4, "strides": 2, "depth_multiplier": 2}),
]
FAST: list[Case] = [
    ("DepthwiseConv2D", 4, 4, {"kernel_size": 3, "padding": "same"}),
    ("DepthwiseConv2D", 8, 8, {"kernel_size": 5, "dilation_rate": 2, "padding": "same"}),
    ("DepthwiseConv2D", None, None, {"kernel_size": 5}),
]


@pytest.mark.parametrize(("kind", "height", "width", "options"), SLOW, ids=str)
def test_maps_and_gradients_are_those_of_keras(kind: str, height: int | None, width: int | None, options: Any) -> None:
    model = _network(kind, height, width, options, "float32")
    assert sum(rewrites(model).values()) == 1
    expected, found = (_maps_and_gradients(model, rewrite) for rewrite in (False, True))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "height", "width", "options"), SLOW + FAST[:-1], ids=str)
def test_in_bfloat16_they_are_nearer_to_the_exact_ones(
    kind: str, height: int | None, width: int | None, options: Any
) -> None:
    exact = _network(kind, height, width, options, "float64")
    model = _network(kind, height, width, options, "mixed_bfloat16")
    for variable, value in zip(exact.variables, model.variables, strict=True):
        variable.assign(value)
    assert sum(rewrites(model).values()) == 1
    expected, as_keras, found = (
        _maps_and_gradients(*which) for which in ((exact, False), (model, False), (model, True))
    )
    for true, theirs, ours in zip(expected, as_keras, found, strict=True):
        size = np.abs(true).max()
        assert np.abs(ours - true).max() <= max(np.abs(theirs - true).max(), 0.02 * size)


@pytest.mark.parametrize(("kind", "height", "width", "options"), FAST, ids=str)
def test_what_is_fast_in_float32_stays(kind: str, height: int | None, width: int | None, options: Any) -> None:
    assert rewrites(_network(kind, height, width, options, "float32")) == {}


def _network(kind: str, height: int | None, width: int | None, options: Any, dtype: str) -> Any:
    keras.utils.set_random_seed(2)
    bias = {"bias_initializer": "random_normal"} if options.get("use_bias", True) else {}
    layer = getattr(Layers, kind)(**options, **bias, dtype=dtype)
    return keras.Sequential([keras.Input((height, width, 3), dtype="float64" if dtype == "float64" else None), layer])


def _maps_and_gradients(model: Any, rewrite: bool) -> list[Any]:
    sizes = [size or 9 for size in model.input_shape[1:3]]
    images = tf.constant(np.random.default_rng(1).normal(size=(40, *sizes, 3)), model.layers[0].compute_dtype)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(images: Any) -> Any:
        with rewritten(model) if rewrite else nullcontext(), tf.GradientTape() as tape:
            tape.watch(images)
            maps = model(images, training=True)
            loss = tf.reduce_sum(tf.square(maps)) / 40
        return maps, tape.gradient(loss, [images, *(v.value for v in model.trainable_variables)])

    return [np.asarray(tf.cast(part, tf.float64)) for part in tf.nest.flatten(compute(images))]
