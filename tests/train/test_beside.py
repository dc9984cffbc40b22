"""What is done on a second thread: work of any kind, and the tracing of an evaluation while the first steps compute."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from hpcnn.train.beside import beside


def test_the_work_runs_while_the_block_does_and_has_ended_after_it() -> None:
    met, ended = threading.Barrier(2, timeout=30), threading.Event()

    def work() -> None:
        met.wait()
        ended.set()

    with beside(work):
        met.wait()
    assert ended.is_set()


def test_what_the_work_raises_is_dropped_and_what_the_block_raises_is_not() -> None:
    with pytest.raises(KeyError), beside(lambda: 1 / 0):  # type: ignore[arg-type]
        raise KeyError


@pytest.mark.parametrize("slow", [0.0, 1e9])
def test_a_deep_network_s_evaluation_is_traced_beside_its_first_steps(
    slow: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras = pytest.importorskip("keras")
    from hpcnn.parallel.serial import SingleReplica
    from hpcnn.train import steps as compiled
    from hpcnn.train.feed import Form, place
    from hpcnn.train.order import InFileOrder
    from hpcnn.train.plan import blocks

    monkeypatch.setattr(compiled, "_SLOW", slow)
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.BatchNormalization(), keras.layers.Dense(3, activation="softmax")]
    )
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    x, y = np.random.default_rng(1).normal(size=(20, 4)).astype(np.float32), np.arange(20, dtype=np.int32) % 3
    data = place(x, y, ("/CPU:0",), Form())
    steps: Any = compiled.Steps(model, SingleReplica(), data, data, 8)  # type: ignore[arg-type, abstract]
    sums = steps.no_sums()
    for block in blocks(InFileOrder(20), 8, 1, (0,)):
        sums = steps.train(block, sums)
    assert steps._test.experimental_get_tracing_count() == (1 if slow == 0.0 else 0)
    tested = steps.no_sums()
    for block in blocks(InFileOrder(20), 20, 1, (0,)):
        tested = steps.test(block, tested)
    assert steps._test.experimental_get_tracing_count() == 1
    loss = float(np.mean(keras.losses.sparse_categorical_crossentropy(y, model(x, training=False))))
    assert tested.loss / tested.samples == pytest.approx(loss, rel=1e-5)
    assert not any("call" in vars(layer) for layer in model.layers)
