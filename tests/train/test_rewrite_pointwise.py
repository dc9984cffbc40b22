"""Convolutions by one pixel as products: any strides, sizes, biases and activations, against Keras's own."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from hpcnn.train.rewrite import rewrites, rewritten  # noqa: E402


def by_all_pixels(maps: Any) -> Any:
    """Return an activation of one's own that looks at whole maps, not at single values."""
    return maps / (1.0 + tf.reduce_max(maps, [1, 2], keepdims=True))


@pytest.mark.parametrize(
    ("height", "width", "options"),
    [
        (12, 12, {"strides": 2}),
        (12, 12, {"strides": (2, 3), "activation": "relu"}),
        (11, 13, {"strides": 2, "activation": "tanh"}),
        (11, 12, {"strides": (3, 2), "padding": "same", "use_bias": False}),
        (3, 2, {"strides": 4, "activation": "softmax"}),
        (12, 12, {"activation": by_all_pixels}),
        (None, None, {"strides": 2, "activation": "relu"}),
    ],
    ids=["divides", "two-strides", "odd", "no-bias", "larger-than-the-map", "whole-maps", "any-size"],
)
def test_maps_and_gradients_are_those_of_keras(height: int | None, width: int | None, options: Any) -> None:
    model = keras.Sequential(
        [
            keras.Input((height, width, 3)),
            keras.layers.Conv2D(5, 1, bias_initializer="random_normal", **options),
        ]
    )
    images = tf.constant(np.random.default_rng(1).normal(size=(4, height or 9, width or 10, 3)), tf.float32)
    expected, found = (_maps_and_gradients(model, images, rewrite) for rewrite in (False, True))
    assert rewrites(model) == {"1 x 1 convolution as a product": 1}
    assert [part.shape for part in found] == [part.shape for part in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def _maps_and_gradients(model: Any, images: Any, rewrite: bool) -> list[Any]:
    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(images: Any) -> Any:
        with rewritten(model) if rewrite else nullcontext(), tf.GradientTape() as tape:
            tape.watch(images)
            maps = model(images, training=True)
            loss = tf.reduce_sum(tf.square(maps))
        return maps, tape.gradient(loss, [images, *(v.value for v in model.trainable_variables)])

    return [part.numpy() for part in tf.nest.flatten(compute(images))]
