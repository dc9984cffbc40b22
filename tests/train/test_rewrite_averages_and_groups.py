"""Global averages with a gradient of few operations, and convolutions by groups as depthwise ones, against Keras's."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from hpcnn.train.rewrite import rewrites, rewritten  # noqa: E402
from hpcnn.train.rewrite.recorded import constant, with_gradient, zeros  # noqa: E402

Layers = keras.layers
AVERAGES, GROUPS = "gradient of global averages in one step", "convolution by groups as depthwise"


def by(model: Any, images: Any, *, rewrite: bool) -> tuple[list[npt.NDArray[Any]], list[str]]:
    """Return outputs and gradients of images and weights in double precision, and the operations of the graph."""

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(images: Any) -> Any:
        with rewritten(model) if rewrite else nullcontext(), tf.GradientTape() as tape:
            tape.watch(images)
            outputs = model(images, training=True)
            loss = tf.reduce_sum(tf.sin(3.0 * tf.cast(outputs, tf.float32)))
        return outputs, *tape.gradient(loss, [images, *(v.value for v in model.trainable_variables)])

    graph = compute.get_concrete_function(images).graph
    return [np.asarray(part, np.float64) for part in compute(images)], [op.type for op in graph.get_operations()]


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_averages_and_their_gradients_are_those_of_keras(dtype: str, keepdims: bool) -> None:
    layer = Layers.GlobalAveragePooling2D(keepdims=keepdims, dtype=dtype)
    model = keras.Sequential([keras.Input((5, 3, 7), dtype=layer.compute_dtype), layer])
    assert rewrites(model) == {AVERAGES: 1}
    images = tf.cast(tf.random.stateless_normal([4, 5, 3, 7], (1, 2)), layer.compute_dtype)
    (theirs, many), (ours, few) = (by(model, images, rewrite=rewrite) for rewrite in (False, True))
    assert len(few) <= len(many) - 5  # with a batch of any size, 12
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=2e-7 if dtype == "float32" else 2**-7)


def test_averages_of_images_of_any_size_stay_as_they_are() -> None:
    model = keras.Sequential([keras.Input((None, None, 7)), Layers.GlobalAveragePooling2D()])
    found = []
    for rewrite in (False, True):

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def compute(images: Any, rewrite: bool = rewrite) -> Any:
            with rewritten(model) if rewrite else nullcontext(), tf.GradientTape() as tape:
                tape.watch(images)
                outputs = model(images)
            return tape.gradient(outputs, images)

        graph = compute.get_concrete_function(tf.TensorSpec([None, None, None, 7])).graph
        found.append([operation.type for operation in graph.get_operations()])
    assert found[0] == found[1]


CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "same": {"kernel_size": (5, 3), "padding": "same"},
    "steps": {"kernel_size": 3, "strides": 2, "padding": "same", "use_bias": False},
    "wide": {"kernel_size": 3, "dilation_rate": 2, "activation": "relu"},
    "bfloat16": {"kernel_size": 3, "dtype": "mixed_bfloat16"},
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_group_for_each_channel_is_depthwise(name: str) -> None:
    layer = Layers.Conv2D(6, groups=6, bias_initializer="random_normal", **CONVOLUTIONS[name])
    model = keras.Sequential([keras.Input((8, 9, 6), dtype=layer.compute_dtype), layer])
    assert rewrites(model) == {GROUPS: 1}
    images = tf.cast(tf.random.stateless_normal([3, 8, 9, 6], (1, 2)), layer.compute_dtype)
    (theirs, _), (ours, kinds) = (by(model, images, rewrite=rewrite) for rewrite in (False, True))
    assert "DepthwiseConv2dNative" in kinds
    for mine, expected in zip(ours, theirs, strict=True):
        tolerance = (2e-5 if name != "bfloat16" else 0.02) * float(np.abs(expected).max())
        np.testing.assert_allclose(mine, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "options", [{"groups": 3}, {"groups": 6, "dtype": "mixed_float16"}, {"groups": 6, "strides": (1, 2)}]
)
def test_other_groups_are_left_to_keras(options: dict[str, Any]) -> None:
    assert rewrites(keras.Sequential([keras.Input((8, 9, 6)), Layers.Conv2D(6, 3, **options)])) == {}


def test_a_gradient_that_is_given_is_taken_also_for_a_second_derivative() -> None:
    """And constants are made once a graph, also inside of loops."""

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(x: Any) -> Any:
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                cube = with_gradient(lambda: x * x * x, lambda upstream: [3.0 * x * x * upstream], [x])
            first = inner.gradient(cube, x)
        assert constant(2.5, tf.float32) is constant(2.5, tf.float32)
        assert zeros((2,), tf.float32) is zeros((2,), tf.float32)
        (_, total) = tf.while_loop(
            lambda n, _: n < 3, lambda n, sum: (n + 1, sum + constant(2.5, tf.float32)), (0, constant(2.5, tf.float32))
        )
        return cube, first, outer.gradient(first, x), total

    assert [float(part) for part in compute(tf.constant(2.0))] == [8.0, 12.0, 12.0, 10.0]
