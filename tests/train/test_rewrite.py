"""The faster ways of computing, against Keras's own: same outputs, gradients and weights, model left as it was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from hpcnn.train.rewrite import SWITCH, rewrites, rewritten  # noqa: E402

Layers = keras.layers
Arrays = list[npt.NDArray[Any]]


def one_pool(activation: str = "relu", **pooling: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((12, 12, 2)),
            Layers.Conv2D(5, 3, activation=activation, bias_initializer="random_normal"),
            Layers.MaxPooling2D(**{"pool_size": 2, **pooling}),
            Layers.Flatten(),
            Layers.Dense(3, activation="softmax"),
        ]
    )


def own_layers() -> Any:
    """Return a network with every other form that is rewritten: layers that only activate, no bias, a nested model."""
    return keras.Sequential(
        [
            keras.Input((12, 12, 2)),
            Layers.Conv2D(4, 3, padding="same", use_bias=False),
            Layers.BatchNormalization(),
            Layers.Activation("relu"),
            Layers.MaxPooling2D(2),
            keras.Sequential([Layers.Conv2D(4, 3), Layers.LeakyReLU(), Layers.MaxPooling2D(2, padding="same")]),
            Layers.Flatten(),
            Layers.Dense(3, activation="softmax"),
        ]
    )


def looked_at_twice() -> Any:
    """Return a network in which the activated values go past the pooling too, so that nothing may be rewritten."""
    image = keras.Input((12, 12, 2))
    convolved = Layers.Conv2D(4, 3, activation="tanh")(image)
    both = [Layers.Flatten()(Layers.MaxPooling2D(2)(convolved)), Layers.GlobalAveragePooling2D()(convolved)]
    return keras.Model(image, Layers.Dense(3, activation="softmax")(Layers.Concatenate()(both)))


def maps_as_outputs() -> Any:
    """Return a network that gives its feature maps too."""
    image = keras.Input((12, 12, 2))
    convolved = Layers.Conv2D(4, 3, activation="relu")(image)
    pooled = Layers.MaxPooling2D(2)(convolved)
    return keras.Model(image, [Layers.Dense(3, activation="softmax")(Layers.Flatten()(pooled)), convolved])


def residual() -> Any:
    """Return a network with sums of maps of one shape, of which one is taken twice, and a sum over a single channel."""
    image = keras.Input((12, 12, 2))
    maps = Layers.Conv2D(4, 3, padding="same")(image)
    added = Layers.Add()([maps, Layers.Conv2D(4, 3, padding="same")(maps), maps])
    added = Layers.Add()([added, Layers.Conv2D(1, 1)(added)])
    return keras.Model(image, Layers.Dense(3, activation="softmax")(Layers.GlobalAveragePooling2D()(added)))


def pointwise(side: int | None = 12) -> Any:
    """Return a network of convolutions by one pixel: with steps, with an activation before a pooling, at any size."""
    return keras.Sequential(
        [
            keras.Input((side, side, 2)),
            Layers.Conv2D(6, 1, strides=(2, 1), activation="relu", bias_initializer="random_normal"),
            Layers.Conv2D(4, 1, padding="same", strides=2, use_bias=False),
            Layers.Conv2D(5, 1, activation="tanh", bias_initializer="random_normal"),
            Layers.MaxPooling2D(2),
            Layers.GlobalAveragePooling2D(),
            Layers.Dense(3, activation="softmax"),
        ]
    )


NETWORKS: dict[str, Callable[[], Any]] = {
    "relu": one_pool,
    "pointwise": pointwise,
    "pointwise at any size": lambda: pointwise(None),
    "residual": residual,
    "tanh": lambda: one_pool("tanh"),
    "overlapping": lambda: one_pool(pool_size=3, strides=2, padding="same"),
    "own-layers": own_layers,
    "looked-at-twice": looked_at_twice,
    "maps-as-outputs": maps_as_outputs,
}


def outputs_and_gradients(model: Any, images: Any, *, rewrite: bool) -> tuple[Arrays, Arrays, set[str]]:
    """Return outputs, gradients of a loss of all of them, and the operations of the graph."""

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(images: Any) -> Any:
        with rewritten(model) if rewrite else nullcontext(), tf.GradientTape() as tape:
            outputs = keras.tree.flatten(model(images, training=True))
            loss = tf.add_n([tf.reduce_sum(tf.sin(3.0 * tf.cast(output, tf.float32))) for output in outputs])
        return outputs, tape.gradient(loss, [v.value for v in model.trainable_variables])

    outputs, gradients = compute(images)
    graph = compute.get_concrete_function(images).graph
    kinds = {operation.type for operation in graph.get_operations()}
    for function in graph._functions.values() if hasattr(graph, "_functions") else []:
        kinds |= {node.op for node in function.cached_definition.node_def}
    return [part.numpy() for part in outputs], [part.numpy() for part in gradients], kinds


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients_are_those_of_keras(name: str) -> None:
    keras.utils.set_random_seed(3)
    model = NETWORKS[name]()
    images = tf.random.normal([6, 12, 12, 2])
    moving = [v.numpy() for v in model.non_trainable_variables]
    expected = outputs_and_gradients(model, images, rewrite=False)
    for variable, value in zip(model.non_trainable_variables, moving, strict=True):
        variable.assign(value)
    found = outputs_and_gradients(model, images, rewrite=True)
    for ours, theirs in zip(found[0] + found[1], expected[0] + expected[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["pointwise", "pointwise at any size"])
def test_a_convolution_by_one_pixel_is_a_product(name: str) -> None:
    *_, kinds = outputs_and_gradients(NETWORKS[name](), tf.random.normal([6, 12, 12, 2]), rewrite=True)
    assert "MatMul" in kinds
    assert not {kind for kind in kinds if kind.startswith("Conv2D")}


def test_the_activation_comes_after_the_pooling() -> None:
    model = one_pool()
    sizes: list[int] = []

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(images: Any) -> Any:
        with rewritten(model):
            return model(images, training=True)

    graph = compute.get_concrete_function(tf.TensorSpec((6, 12, 12, 2))).graph
    sizes = [operation.outputs[0].shape[1] for operation in graph.get_operations() if operation.type == "Relu"]
    assert sizes == [5]


def test_the_model_is_left_as_it_was() -> None:
    model = own_layers()
    model.add(Layers.Dropout(0.5))
    layers = list(model._flatten_layers(recursive=True))
    before = [(layer, dict(vars(layer))) for layer in layers]
    with rewritten(model):
        changed = {type(layer) for layer in layers if "call" in vars(layer)}
    assert changed == {
        Layers.Activation,
        Layers.LeakyReLU,
        Layers.MaxPooling2D,
        Layers.Dropout,
        Layers.BatchNormalization,
    }
    assert [(layer, vars(layer)) for layer in layers] == before


def test_the_switch_leaves_everything_to_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")
    model = one_pool()
    with rewritten(model):
        assert not any("call" in vars(layer) for layer in model.layers)


@pytest.mark.parametrize("rate", [0.25, 0.2, 0.999])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_dropout_drops_its_share_and_scales_the_rest(rate: float, dtype: str) -> None:
    model = keras.Sequential([keras.Input((317,)), Layers.Dropout(rate, seed=1, dtype=dtype)])
    images = tf.ones([1001, 317])

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(images: Any) -> Any:
        with rewritten(model), tf.GradientTape() as tape:
            tape.watch(images)
            out = model(images, training=True)
        return out, tape.gradient(out, images)

    out, gradient = (part.numpy().astype(np.float64) for part in compute(images))
    again = compute(images)[0].numpy()
    kept = out != 0
    error = 5 * np.sqrt(rate * (1 - rate) / kept.size)
    assert abs(kept.mean() - (1 - rate)) < error
    np.testing.assert_allclose(out[kept], 1 / (1 - rate), rtol=5e-3 if dtype != "float32" else 1e-6)
    np.testing.assert_allclose(gradient, out, rtol=1e-2)
    assert not np.array_equal(again, out)
    neighbours = (kept[:, 1:] & kept[:, :-1]).mean()  # bits of one word do not hang together
    assert abs(neighbours - (1 - rate) ** 2) < 3 * error
    np.testing.assert_array_equal(model(images, training=False), images)


def normalized(shape: tuple[int, ...], **options: Any) -> Any:
    """Return batch normalization of values far from zero, with weights and averages that are not the initial ones."""
    layer = Layers.BatchNormalization(**{"momentum": 0.8, **options})
    model = keras.Sequential([keras.Input(shape), layer])
    draw = np.random.default_rng(2)
    for variable in layer.weights:
        variable.assign(draw.uniform(0.5, 2.0, variable.shape))
    return model


def normalized_by(model: Any, values: Any, *, training: bool, fused: bool) -> tuple[Arrays, set[str]]:
    """Return outputs, all gradients and the moving averages after one step from the same start; and the operations."""
    start = [v.numpy() for v in model.weights]

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(values: Any) -> Any:
        with rewritten(model) if fused else nullcontext(), tf.GradientTape() as tape:
            tape.watch(values)
            out = model(values, training=training)
            loss = tf.reduce_sum(tf.sin(3.0 * tf.cast(out, tf.float32)))
        return out, tape.gradient(loss, [values, *(v.value for v in model.trainable_variables)])

    out, gradients = compute(values)
    found = [np.asarray(tf.cast(part, tf.float64)) for part in (out, *gradients, *(v.value for v in model.weights))]
    kinds = {operation.type for operation in compute.get_concrete_function(values).graph.get_operations()}
    for variable, value in zip(model.weights, start, strict=True):
        variable.assign(value)
    return found, kinds


NORMALIZATIONS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "images": ((5, 6, 7), {}),
    "features": ((7,), {}),
    "sequences": ((5, 7), {"momentum": 0.99}),
    "volumes": ((3, 4, 2, 7), {"epsilon": 1.1e-5}),
    "another axis": ((5, 6, 7), {"axis": 1}),
    "another axis of sequences": ((5, 7), {"axis": 1, "momentum": 0.9}),
    "another axis of volumes": ((3, 4, 2, 7), {"axis": 2}),
    "another axis, frozen": ((5, 6, 7), {"axis": -2, "trainable": False}),
    "channels that fill no vector": ((4, 6, 24), {}),
    "few channels": ((4, 8, 3), {"scale": False}),
    "no scale": ((5, 6, 7), {"scale": False}),
    "no centre": ((5, 6, 7), {"center": False}),
    "frozen": ((5, 6, 7), {"trainable": False}),
    "bfloat16": ((5, 6, 7), {"dtype": "mixed_bfloat16"}),
    "float16": ((5, 6, 7), {"dtype": "mixed_float16"}),
    "frozen bfloat16": ((5, 6, 7), {"dtype": "mixed_bfloat16", "trainable": False}),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_fused_batch_normalization_is_that_of_keras(name: str, training: bool) -> None:
    """Outputs, gradients of inputs and weights, moving averages. Half precision: to one unit of its last place."""
    shape, options = NORMALIZATIONS[name]
    model = normalized(shape, **options)
    dtype = keras.dtype_policies.get(options.get("dtype", "float32")).compute_dtype
    values = tf.cast(tf.random.stateless_normal([9, *shape], (1, 2)) + 3.0, dtype)
    (theirs, _), (ours, kinds) = (normalized_by(model, values, training=training, fused=f) for f in (False, True))
    assert "FusedBatchNormV3" in kinds
    precision = {"float32": 1e-6, "bfloat16": 2**-7, "float16": 2**-10}[dtype]
    for number, (mine, expected) in enumerate(zip(ours, theirs, strict=True)):
        is_average = number >= len(ours) - 2
        tolerance = (3e-6 if is_average else 10 * precision) * max(float(np.abs(expected).max()), 1.0)
        np.testing.assert_allclose(mine, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_bias_before_batch_normalization_moves_its_average_and_nothing_else(policy: str) -> None:
    image = keras.Input((6, 6, 2))
    maps = Layers.Conv2D(4, 3, bias_initializer="random_normal", dtype=policy)(image)
    maps = Layers.Activation("relu")(Layers.BatchNormalization(momentum=0.8, dtype=policy)(maps))
    maps = Layers.BatchNormalization(dtype=policy)(Layers.Conv2D(3, 1, bias_initializer="ones", dtype=policy)(maps))
    taken_twice = Layers.Conv2D(3, 1, bias_initializer="ones", dtype=policy)(maps)
    maps = Layers.Concatenate()([taken_twice, Layers.BatchNormalization(dtype=policy)(taken_twice)])
    model = keras.Model(image, Layers.GlobalAveragePooling2D(dtype="float32")(maps))
    assert rewrites(model)["bias within batch normalization"] == 2
    start, images = [v.numpy() for v in model.weights], tf.random.stateless_normal([5, 6, 6, 2], (1, 2))
    found = []
    for fused in (False, True):
        for variable, value in zip(model.weights, start, strict=True):
            variable.assign(value)

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def compute(fused: bool) -> Any:
            with rewritten(model) if fused else nullcontext():
                with tf.GradientTape() as tape:
                    trained = model(images, training=True)
                    loss = tf.reduce_sum(tf.sin(3.0 * trained))
                gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
                return trained, model(images, training=False), gradients

        trained, tested, gradients = compute(fused)
        found.append([part.numpy() for part in (trained, tested, *gradients, *(v.value for v in model.weights))])
    tolerance = 5e-5 if policy == "float32" else 0.1
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_one_row_has_no_variance() -> None:
    """TensorFlow's operation would divide by n - 1."""
    model = normalized((7,))
    (theirs, _), (ours, _) = (normalized_by(model, tf.ones([1, 7]), training=True, fused=f) for f in (False, True))
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=0, atol=2e-5)


LEFT = {
    "a tiny epsilon": lambda: Layers.BatchNormalization(epsilon=1e-6),
    "renorm": lambda: Layers.BatchNormalization(renorm=True),
    "synchronized": lambda: Layers.BatchNormalization(synchronized=True),
    "a subclass": lambda: type("Own", (Layers.BatchNormalization,), {})(),
    "a call of its own": lambda: with_call_of_its_own(Layers.BatchNormalization()),
    "double precision": lambda: Layers.BatchNormalization(dtype="float64"),
}


@pytest.mark.parametrize("what", LEFT)
def test_batch_normalization_that_the_operation_does_not_compute_is_left(what: str) -> None:
    model = keras.Sequential([keras.Input((4, 6, 3)), LEFT[what]()])
    assert rewrites(model) == {}


def test_masked_values_are_left_to_keras() -> None:
    layer = Layers.BatchNormalization()
    keras.Sequential([keras.Input((4, 3)), layer])
    values, mask = tf.random.stateless_normal([2, 4, 3], (1, 2)), tf.constant([[True, True, False, False]] * 2)
    expected = layer(values, training=True, mask=mask)
    with rewritten(keras.Sequential([layer])):
        np.testing.assert_array_equal(layer(values, training=True, mask=mask), expected)


def test_rewrites_are_named() -> None:
    model = own_layers()
    assert rewrites(model) == {"activation after pooling": 2, "fused batch normalization": 1}
    assert not any("call" in vars(layer) for layer in model.layers)


def with_call_of_its_own(layer: Any) -> Any:
    as_keras_does = layer.call
    object.__setattr__(layer, "call", lambda *args, **kwargs: 2 * as_keras_does(*args, **kwargs))
    return layer


def with_lora(layer: Any) -> Any:
    layer.build((None, 12, 12, 2))
    layer.enable_lora(2)
    return layer


WATCHED = {
    "an activity regularizer": lambda: Layers.Conv2D(4, 3, activation="relu", activity_regularizer="l2"),
    "one of an activation": lambda: Layers.Activation("relu", activity_regularizer="l2"),
    "a call of its own": lambda: with_call_of_its_own(Layers.Conv2D(4, 3, activation="relu")),
    "LoRA": lambda: with_lora(Layers.Conv2D(4, 3, activation="relu")),
}


@pytest.mark.parametrize("what", WATCHED)
def test_a_layer_that_something_else_watches_stays_as_it_is(what: str) -> None:
    layer = WATCHED[what]()
    model = keras.Sequential([keras.Input((12, 12, 2)), layer, Layers.MaxPooling2D(2)])
    before = vars(layer).get("call")
    with rewritten(model):
        assert vars(layer).get("call") is before
    plain = keras.Sequential([keras.Input((12, 12, 2)), Layers.Conv2D(4, 3, activation="relu"), Layers.MaxPooling2D(2)])
    with rewritten(plain):
        assert "call" in vars(plain.layers[0]), "the same layer with nothing that watches it is rewritten"


def test_a_dropout_whose_call_was_replaced_keeps_it() -> None:
    layer = Layers.Dropout(0.5)
    mine = with_call_of_its_own(layer).call
    with rewritten(keras.Sequential([keras.Input((4,)), layer])):
        assert layer.call is mine
