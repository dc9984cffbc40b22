"""What is said and kept beside the test accuracy: the devices, the best epoch's network, the training set's figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.specs.complete import complete
from hpcnn.specs.train import TrainSpec
from hpcnn.train.console import devices_line
from hpcnn.train.trained import open_trained
from hpcnn.util.errors import UsageError
from hpcnn.util.files import LineWriter, read_lines
from tests.train.launching import Train

keras = pytest.importorskip("keras")

SPEC = TrainSpec(model="wolter-mlp", samples=500, test_samples=100, batch_size=50, epochs=3, learning_rate=0.01)


def test_the_best_epoch_s_network_is_kept_alone(train: Train) -> None:
    run = train(replace(SPEC, checkpoint_best=True))
    accuracies = [line["validation"]["accuracy"] for line in read_lines(run.epochs(0))]
    best = int(np.argmax(accuracies)) + 1
    assert list(run.networks()) == [best]
    kept = open_trained(run.path)
    right = kept.probabilities(kept.data.x_test).argmax(axis=1) == kept.data.y_test
    assert right.mean() == pytest.approx(max(accuracies))


def keep_best(path: Path, *epochs: dict[str, float], earlier: float | None = None) -> list[int]:
    """Return the epochs whose networks are kept after these logs; earlier: test accuracy of an attempt before."""
    from hpcnn.train.best import KeepBest

    run = RunDir(path)
    run.path.mkdir()
    lines = LineWriter(run.epochs(0))
    callback = KeepBest(run)
    callback.set_model(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    if earlier is not None:
        lines.write({"epoch": 1, "validation": {"loss": 1.0, "accuracy": earlier}})
        run.checkpoints.mkdir()
        (run.checkpoints / "epoch-001.keras").touch()
    lines.close()
    callback.on_train_begin()
    for number, logs in enumerate(epochs, start=0 if earlier is None else 1):
        callback.on_epoch_end(number, logs)
    return list(run.networks())


@pytest.mark.parametrize(("accuracy", "kept"), [(0.4, [1]), (0.6, [2])])
def test_a_resumed_run_knows_the_best_epoch_of_the_attempt_before(
    accuracy: float, kept: list[int], tmp_path: Path
) -> None:
    assert keep_best(tmp_path / "run", {"val_accuracy": accuracy, "val_loss": 1.0}, earlier=0.5) == kept


def test_of_equal_epochs_the_first_is_kept_and_without_accuracy_the_least_loss(tmp_path: Path) -> None:
    equal = {"val_accuracy": 0.5, "val_loss": 1.0}
    assert keep_best(tmp_path / "equal", equal, {**equal, "val_loss": 0.5}) == [1]
    assert keep_best(tmp_path / "loss", *({"val_loss": loss} for loss in (3.0, 1.0, float("nan"), 2.0))) == [2]


def test_the_training_set_is_evaluated_without_dropout(train: Train) -> None:
    run = train(replace(SPEC, samples=130, epochs=1, learning_rate=None, checkpoint=True, evaluate_training=True))
    result = run.read_result() or {}
    kept = open_trained(run.path)
    from hpcnn.data.registry import load

    data = load("digits", samples=130)
    kept.model.compile(loss="categorical_crossentropy", metrics=["accuracy"])
    images = data.x_train.reshape(130, 784) / 255
    loss, accuracy = kept.model.evaluate(images, keras.utils.to_categorical(data.y_train, 10), verbose=0)
    assert result["training_set"] == pytest.approx({"loss": loss, "accuracy": accuracy}, rel=1e-4)
    (line,) = read_lines(run.epochs(0))
    assert line["metrics"]["accuracy"] != pytest.approx(accuracy), "the epoch's own figure has dropout on"


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoint_best": True, "checkpoint": True},
        {"checkpoint_best": True, "evaluate": False},
        {"checkpoint_best": True, "strategy": "horovod", "communication": False},
        {"evaluate_training": True, "strategy": "horovod", "communication": False},
    ],
)
def test_what_cannot_go_together_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"--(checkpoint-best|evaluate-training): True is not valid"):
        complete(replace(SPEC, **changes))


def rank(host: str, device: str, devices: int = 1, cores: int = 1) -> dict[str, object]:
    kind = "CPU" if device == "CPU" else "GPU"
    names = [f"/{kind}:{number}" for number in range(devices)]
    cores_allowed = list(range(cores))
    return {"host": host, "device": device, "devices": names, "cpu_model": "Xeon", "cores_allowed": cores_allowed}


@pytest.mark.parametrize(
    ("hosts", "line"),
    [
        ([rank("a", "CPU")], "devices: no GPU; Xeon, 1 core a rank; on a"),
        ([rank("a", "CPU", cores=4), rank("b", "CPU", cores=2)], "devices: no GPU; Xeon, 2-4 cores a rank; on 2 nodes"),
        ([rank("a", "H100")], "devices: 1 x H100; on a"),
        ([rank("a", "A100", devices=4)], "devices: 4 x A100; on a"),
        ([rank("a", "V100"), rank("b", "A100"), rank("b", "A100")], "devices: 2 x A100, 1 x V100; on 2 nodes"),
    ],
)
def test_the_devices_are_said_at_the_start(hosts: list[dict[str, object]], line: str) -> None:
    assert devices_line(hosts) == line
