"""The training loop, serially and in this process: against Keras itself, and with Keras's callbacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpcnn.data.registry import load
from hpcnn.machine.smoke import weights
from hpcnn.parallel.serial import SingleReplica
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.train import TrainSpec
from hpcnn.train.loop import STEPS_PER_CALL
from hpcnn.train.plan import epoch_order
from hpcnn.util.files import read_lines
from tests.train.cases import MOMENTUM
from tests.train.checkpoints import checks_out, unseen
from tests.train.launching import Train

keras = pytest.importorskip("keras")

# 84 steps, the last of one sample: two calls for the full batches, and one for the rest.
MANY_STEPS = replace(MOMENTUM, batch_size=4, checkpoint=False)
# Two short calls, of which the second tells how long a step takes; then calls are as long as they may be,
# and end at every multiple of 64 steps.
CALLS = [(0, 3), (4, 7), (8, 63), (64, 82), (83, 83), (0, 63), (64, 82), (83, 83)]

Recorded = list[dict[str, Any]]


def epochs_of(run: RunDir) -> Recorded:
    return list(read_lines(run.epochs(0)))


@pytest.fixture
def with_callbacks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that gives the next trainings these callbacks."""
    return lambda *own: monkeypatch.setattr("hpcnn.train.callbacks.callbacks_of", lambda *facts: list(own))


Callback: Any = keras.callbacks.Callback


class Kept(Callback):  # type: ignore[misc]
    """Keeps the model, and what the loop tells a callback."""

    def __init__(self) -> None:
        super().__init__()
        self.begins: list[int] = []
        self.ends: list[int] = []
        self.logs: list[dict[str, float]] = []
        self.epochs: list[tuple[int, dict[str, float]]] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.begins.append(batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ends.append(batch)
        self.logs.append(dict(logs))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append((epoch, dict(logs)))


@pytest.mark.parametrize(
    "spec",
    [
        MANY_STEPS,
        replace(MANY_STEPS, optimizer="adam", momentum=None, learning_rate=0.001),
        replace(MANY_STEPS, model="own:ridge", model_args={}, loss="mean_squared_error", optimizer="sgd"),
        replace(MANY_STEPS, model="own:normalized", model_args={}, optimizer="sgd", samples=332, learning_rate=0.001),
    ],
    ids=["momentum", "adam", "l2", "batch-norm"],
)
def test_many_steps_a_call_are_keras_s_own_steps_one_by_one(
    spec: TrainSpec, train: Train, with_callbacks: Callable[..., None]
) -> None:
    """Against ``Model.train_on_batch`` over the same batches: weights, moving statistics, loss and metrics.

    Weights were seen to differ by up to 6e-7.
    """
    from hpcnn.specs.complete import complete
    from hpcnn.train.setup import make_model, prepare_keras

    kept = Kept()
    with_callbacks(kept)
    line = epochs_of(train(replace(spec, epochs=1)))[0]
    assert line["steps"] > STEPS_PER_CALL

    full = complete(spec)
    data = load(spec.data, samples=spec.samples)
    prepare_keras(full)
    model = make_model(full, SingleReplica(), data, line["steps"])
    x = data.x_train.astype(np.float32) / 255
    y = np.eye(10)[data.y_train] if spec.loss == "mean_squared_error" else data.y_train
    order = epoch_order(len(x), spec.seed, 1)
    sums = {"loss": 0.0, "accuracy": 0.0}
    for first in range(0, len(x), spec.batch_size or 0):
        batch = order[first : first + (spec.batch_size or 0)]
        results = model.train_on_batch(x[batch], y[batch], return_dict=True)
        sums = {name: total + len(batch) * results[name] for name, total in sums.items()}

    for ours, keras_s in zip(kept.model.weights, model.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), keras_s.numpy(), rtol=0, atol=1e-5, err_msg=ours.path)
    assert line["loss"] == pytest.approx(sums["loss"] / len(x), rel=1e-5)
    assert line["metrics"]["accuracy"] == pytest.approx(sums["accuracy"] / len(x), abs=1e-6)


def test_evaluation_is_keras_s_own(train: Train, with_callbacks: Callable[..., None]) -> None:
    kept = Kept()
    with_callbacks(kept)
    line = epochs_of(train(replace(MANY_STEPS, epochs=1)))[0]
    expected = kept.model.evaluate(*unseen(MANY_STEPS), verbose=0, return_dict=True)
    assert line["validation"] == pytest.approx(expected, rel=1e-5)


def test_dropout_is_reproducible_bit_for_bit(train: Train) -> None:
    spec = replace(MOMENTUM, model="psc-cnn-dropout", epochs=1)
    one, same, other = (train(replace(spec, seed=seed)) for seed in (3, 3, 4))
    last = "epoch-001.keras"
    kept = weights(one.checkpoints / last)
    assert all(np.array_equal(array, kept[name]) for name, array in weights(same.checkpoints / last).items())
    assert epochs_of(one)[0]["loss"] == epochs_of(same)[0]["loss"] != epochs_of(other)[0]["loss"]


def test_batch_hooks_are_called_once_a_group_of_steps(train: Train, with_callbacks: Callable[..., None]) -> None:
    kept = Kept()
    with_callbacks(kept)
    lines = epochs_of(train(MANY_STEPS))
    assert list(zip(kept.begins, kept.ends, strict=True)) == CALLS
    for (epoch, logs), line, last_of_epoch in zip(kept.epochs, lines, (4, 7), strict=True):
        assert epoch == line["epoch"] - 1
        assert logs["loss"] == line["loss"] == kept.logs[last_of_epoch]["loss"]
        assert logs["accuracy"] == line["metrics"]["accuracy"]
        assert logs["val_accuracy"] == line["validation"]["accuracy"]


def test_a_callback_may_stop_the_training(train: Train, with_callbacks: Callable[..., None]) -> None:
    with_callbacks(keras.callbacks.EarlyStopping(monitor="val_loss", patience=0, min_delta=1e9))
    run = train(replace(MANY_STEPS, epochs=9))
    assert len(epochs_of(run)) == 2
    assert (run.read_result() or {})["epochs"] == 2
    assert (run.read_result() or {})["status"] == "completed"


def test_the_target_accuracy_ends_the_training(train: Train) -> None:
    spec = replace(MANY_STEPS, samples=None, test_samples=None, batch_size=32, epochs=9, target_accuracy=0.8)
    run = train(spec)
    lines, result = epochs_of(run), run.read_result() or {}
    assert 1 <= len(lines) < 9
    accuracies = [line["validation"]["accuracy"] for line in lines]
    assert accuracies[-1] >= 0.8 > max(accuracies[:-1], default=0.0)
    assert (result["target_accuracy"], result["epochs"]) == (0.8, len(lines))
    spent = sum(line["seconds_total"] + line["seconds_evaluation"] for line in lines)
    assert spent <= lines[-1]["seconds_since_start"] <= result["seconds_to_target"] <= result["seconds_total"]
    (event,) = (event for event in read_lines(run.events) if event["key"] == "target_reached")
    assert event["metadata"] == {"epoch": len(lines)}


def test_a_target_that_is_not_reached(train: Train) -> None:
    result = train(replace(MANY_STEPS, epochs=1, target_accuracy=1.0)).read_result() or {}
    assert (result["epochs"], result["seconds_to_target"]) == (1, None)


def test_without_evaluation_only_the_end_is_evaluated(train: Train) -> None:
    run = train(replace(MANY_STEPS, evaluate=False))
    assert [(line["validation"], line["seconds_evaluation"]) for line in epochs_of(run)] == [(None, None)] * 2
    assert (run.read_result() or {})["test"]["accuracy"] > 0


# Checkpoints


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"precision": "float16"},
        {"lr_scaling": "linear", "warmup_epochs": 1.0},
        {"model": "own:compiled", "model_args": {}, "learning_rate": None, "momentum": None},
    ],
    ids=["plain", "float16", "warm-up", "own optimizer"],
)
def test_a_checkpoint_loads_without_hpcnn(changes: dict[str, Any], train: Train) -> None:
    run = train(replace(MOMENTUM, **changes))
    checks_out(run, MOMENTUM)
