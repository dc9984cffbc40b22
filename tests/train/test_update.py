"""The optimizer's step in few passes, against Keras's own: same weights, averages and slots after some steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from hpcnn.train.rewrite import SWITCH  # noqa: E402
from hpcnn.train.update import fuse  # noqa: E402

Optimizers = keras.optimizers
RULE, CLIPPING, DECAY, AVERAGES = (
    "optimizer in one pass",
    "clipping in few passes",
    "weight decay in few passes",
    "averages in few passes",
)
SHAPES = ((3, 4), (4,), (4,), (2, 3, 5, 2))

CASES: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "sgd": (lambda: Optimizers.SGD(0.1), [RULE]),
    "momentum": (lambda: Optimizers.SGD(0.1, momentum=0.9), [RULE]),
    "nesterov": (lambda: Optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=0.5), [RULE, CLIPPING]),
    "norm of all": (lambda: Optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.5), [RULE, CLIPPING]),
    "norm below": (lambda: Optimizers.SGD(0.1, global_clipnorm=1e3), [RULE, CLIPPING]),
    "values": (lambda: Optimizers.SGD(0.1, clipvalue=0.5), [RULE, CLIPPING]),
    "schedule": (
        lambda: Optimizers.SGD(Optimizers.schedules.ExponentialDecay(0.1, 2, 0.5), momentum=0.5, weight_decay=0.1),
        [RULE, DECAY],
    ),
    "adam": (lambda: Optimizers.Adam(0.01), [RULE]),
    "adam, norm": (lambda: Optimizers.Adam(0.01, clipnorm=0.5), [RULE, CLIPPING]),
    "adam, norm of all": (lambda: Optimizers.Adam(0.01, global_clipnorm=0.5), [RULE, CLIPPING]),
    "amsgrad": (lambda: Optimizers.Adam(0.01, amsgrad=True), [RULE]),
    "adamw": (lambda: Optimizers.AdamW(0.01, weight_decay=0.1), [RULE, DECAY]),
    "adamax": (lambda: Optimizers.Adamax(0.01), [RULE]),
    "adadelta": (lambda: Optimizers.Adadelta(0.5, epsilon=1e-3), [RULE]),
    "rmsprop": (lambda: Optimizers.RMSprop(0.01), [RULE]),
    "rmsprop, momentum": (lambda: Optimizers.RMSprop(0.01, momentum=0.9), [RULE]),
    "centered": (lambda: Optimizers.RMSprop(0.01, momentum=0.9, centered=True), []),
    "averages": (lambda: Optimizers.Adam(0.01, use_ema=True, gradient_accumulation_steps=2), [RULE, AVERAGES]),
    "averages taken": (
        lambda: Optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
        [RULE, AVERAGES],
    ),
    "parts of batches": (
        lambda: Optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.5, gradient_accumulation_steps=2),
        [RULE, CLIPPING],
    ),
    "nadam": (lambda: Optimizers.Nadam(0.01, weight_decay=0.1, clipnorm=0.5), [CLIPPING, DECAY]),
    "lion": (lambda: Optimizers.Lion(0.01), []),
}


def trained(optimizer: Any, *, fused: bool, gradients: list[list[Any]] | None = None) -> list[npt.NDArray[Any]]:
    """Return weights and all that the optimizer keeps after some steps; and check what it says that it changes."""
    draw = np.random.default_rng(1)
    variables = [keras.Variable(draw.normal(size=shape).astype(np.float32)) for shape in SHAPES]
    optimizer.build(variables)
    if fused:
        fuse(optimizer)
    step = tf.function(optimizer.apply, autograph=False)
    for parts in gradients or [[tf.constant(draw.normal(size=s), tf.float32) for s in SHAPES] for _ in range(5)]:
        step(parts)
    return [v.numpy() for v in [*variables, *optimizer.variables]]


@pytest.mark.parametrize("name", CASES)
def test_weights_after_steps_are_those_of_keras(name: str) -> None:
    make, _ = CASES[name]
    for theirs, ours in zip(trained(make(), fused=False), trained(make(), fused=True), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_what_is_computed_otherwise_is_named(name: str) -> None:
    make, names = CASES[name]
    for optimizer in (make(), Optimizers.LossScaleOptimizer(make())):
        optimizer.build([keras.Variable(np.ones(3, np.float32))])
        assert fuse(optimizer) == names


@pytest.mark.parametrize("name", ["norm of all", "adam, norm of all", "nesterov", "values", "rmsprop"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_gradients_that_are_no_numbers_and_zeros_give_what_keras_gives(name: str, bad: float) -> None:
    make, _ = CASES[name]
    gradients = [[tf.fill(shape, np.float32(bad)) for shape in SHAPES]]
    theirs, ours = (trained(make(), fused=fused, gradients=gradients) for fused in (False, True))
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)


def test_one_operation_a_weight_and_one_reading_of_the_rate() -> None:
    """Keras has a dozen operations a weight, and the averages' identity of ``tf.distribute`` for each gradient."""
    counts = []
    for number in (1, 11):
        variables = [keras.Variable(np.ones(3, np.float32)) for _ in range(number)]
        (optimizer := Optimizers.Adam()).build(variables)
        fuse(optimizer)
        step = tf.function(lambda optimizer=optimizer, n=number: optimizer.apply([tf.ones(3)] * n), autograph=False)
        graph = step.get_concrete_function().graph
        counts.append(sum(operation.type != "Placeholder" for operation in graph.get_operations()))
    assert counts[1] - counts[0] <= 2 * 10, counts  # the rule, and the constant gradient


def test_rows_of_an_embedding_are_left_to_keras() -> None:
    table, optimizer = keras.Variable(np.ones((4, 2), np.float32)), Optimizers.SGD(1.0, global_clipnorm=100.0)
    optimizer.build([table])
    fuse(optimizer)
    optimizer.apply([tf.IndexedSlices(tf.ones([1, 2]), tf.constant([2]), tf.constant([4, 2]))])
    np.testing.assert_array_equal(table.numpy()[:, 0], [1, 1, 0, 1])


def test_methods_of_a_class_of_its_own_stay() -> None:
    class Own(Optimizers.Adam):  # type: ignore[misc, name-defined]
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            self.assign_sub(variable, gradient)

        def _clip_gradients(self, grads: Any) -> Any:
            return [2 * gradient for gradient in grads]

    weight, optimizer = keras.Variable(np.ones(2, np.float32)), Own(clipnorm=1.0, weight_decay=0.5, learning_rate=1.0)
    optimizer.build([weight])
    assert fuse(optimizer) == [DECAY]
    optimizer.apply([tf.ones(2)])
    np.testing.assert_allclose(weight.numpy(), 0.5 - 2.0)


def test_the_switch_leaves_everything_to_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")
    optimizer = CASES["nesterov"][0]()
    before = dict(vars(optimizer))
    assert fuse(optimizer) == []
    assert vars(optimizer) == before
