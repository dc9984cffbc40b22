"""What the options of a training do: precision, learning rates, a user's own model, and what cannot be."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpcnn.parallel.serial import SingleReplica
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.complete import complete
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_lines
from tests.train.cases import MOMENTUM
from tests.train.launching import USER, Command, Train, options_of

keras = pytest.importorskip("keras")

QUICK = replace(MOMENTUM, checkpoint=False, epochs=1)
OWN = replace(QUICK, model_args={}, learning_rate=None, momentum=None)


def rates(run: RunDir) -> list[float]:
    """Return the learning rate at the end of each epoch."""
    return [line["learning_rate"] for line in read_lines(run.epochs(0))]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_every_precision_learns_the_digits(precision: str, train: Train) -> None:
    spec = replace(QUICK, samples=None, test_samples=None, batch_size=32, epochs=3, precision=precision)
    run = train(spec)
    losses = [line["loss"] for line in read_lines(run.epochs(0))]
    assert losses == sorted(losses, reverse=True)
    assert (run.read_result() or {})["test"]["accuracy"] > 0.85  # float32: 0.90


def test_the_two_sided_cross_entropy_compares_one_output_a_class(train: Train) -> None:
    run = train(TrainSpec(model="scinet-dense-sigmoid", loss="binary_crossentropy", pixel_scale="unit", epochs=3))
    losses = [line["validation"]["loss"] for line in read_lines(run.epochs(0))]
    # what ten sigmoid outputs reach that only know that one in ten is 1
    assert losses[2] < losses[0]
    assert losses[2] < -(0.1 * math.log(0.1) + 0.9 * math.log(0.9))


# Learning rates: psc-cnn1's own batch is 32, its own rate 0.01.


@pytest.mark.parametrize(
    ("scaling", "batch", "rate"),
    [
        ("none", 128, 0.01),
        ("linear", 128, 0.04),
        ("linear", 16, 0.005),
        ("sqrt", 128, 0.02),
        ("sqrt", 96, 0.01 * math.sqrt(3)),
    ],
)
def test_the_rate_is_scaled_by_the_batch(scaling: str, batch: int, rate: float) -> None:
    from hpcnn.train.setup import make_optimizer

    spec = replace(QUICK, learning_rate=None, lr_scaling=scaling, batch_size=batch)
    assert float(make_optimizer(complete(spec), steps=3).learning_rate) == pytest.approx(rate, rel=1e-6)


def test_warm_up_reaches_the_scaled_rate_step_by_step() -> None:
    """lr/k ((k-1) e/w + 1), Goyal et al. (2017), section 2.2: after e of w epochs, lr the scaled rate, k the factor."""
    from hpcnn.train.setup import make_optimizer

    steps, warmup, k, base = 10, 2.5, 4, 0.01
    spec = replace(QUICK, learning_rate=base, lr_scaling="linear", batch_size=128, warmup_epochs=warmup)
    optimizer = make_optimizer(complete(spec), steps)
    for step in (0, 1, 10, 24, 25, 26, 1000):
        optimizer.iterations.assign(step)
        done = min(step / steps / warmup, 1)
        assert float(optimizer.learning_rate) == pytest.approx(base * k / k * ((k - 1) * done + 1), rel=1e-5)


def test_the_record_has_the_rate_of_every_epoch(train: Train) -> None:
    spec = replace(QUICK, learning_rate=0.01, lr_scaling="linear", batch_size=64, warmup_epochs=2.0, epochs=3)
    assert rates(train(spec)) == pytest.approx([0.015, 0.02, 0.02], rel=1e-5)


def test_another_optimizer_has_its_own_default_rate(train: Train) -> None:
    assert rates(train(replace(OWN, model="psc-cnn1", optimizer="adam"))) == [pytest.approx(0.001)]


# A user's own model


def test_a_compiled_model_keeps_its_optimizer_loss_and_metrics(train: Train) -> None:
    run = train(replace(OWN, model="own:compiled"))
    (line,) = read_lines(run.epochs(0))
    assert line["learning_rate"] == pytest.approx(0.004)
    assert set(line["metrics"]) == {"accuracy", "mse"}
    # Smoothed labels have an entropy of their own, below which the loss cannot fall: 0.1 of 10 classes.
    floor = -(0.91 * math.log(0.91) + 9 * 0.01 * math.log(0.01))
    assert floor < line["validation"]["loss"] < math.log(10)


@pytest.mark.parametrize(
    ("changes", "rate"),
    [
        ({"learning_rate": 0.001}, 0.001),
        ({"lr_scaling": "sqrt", "batch_size": 32}, 0.002),  # of 128, hpcnn's batch for a model that states none
        ({"optimizer": "adam"}, 0.001),
    ],
)
def test_options_change_what_a_compiled_model_brought(changes: dict[str, Any], rate: float, train: Train) -> None:
    assert rates(train(replace(OWN, model="own:compiled", **changes))) == [pytest.approx(rate)]


@pytest.mark.parametrize("model", ["own:ridge", "own:without_input"])
def test_an_uncompiled_model_gets_cross_entropy_and_sgd(model: str, train: Train) -> None:
    run = train(replace(OWN, model=model, epochs=4))
    losses = [line["loss"] for line in read_lines(run.epochs(0))]
    assert losses[-1] < losses[0] < 3.5
    assert rates(run)[0] == pytest.approx(0.01)  # Keras's default for SGD


# What cannot be: refused with exit status 2, before anything is trained


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "adam", "momentum": 0.9}, "--momentum: 0.9 is not valid"),
        ({"model": "own:compiled", "model_args": {}}, "--momentum: 0.9 is not valid"),
        ({"warmup_epochs": 5.0}, "--warmup-epochs: 5.0 is not valid; expected no value unless --lr-scaling"),
        ({"target_accuracy": 0.9, "evaluate": False}, "--target-accuracy: 0.9 is not valid"),
        ({"data": "own:seven_samples", "samples": None, "test_samples": None}, "(rows, columns, channels)"),
        ({"model": "own:two_outputs", "model_args": {}, "momentum": None}, "--loss: the model has outputs of shape"),
        ({"model": "own:for_other_images", "model_args": {}}, "the model takes samples of shape (5, 5, 3)"),
        ({"model": "own:scheduled", "model_args": {}, "momentum": None}, "--learning-rate: 0.02 is not valid"),
    ],
)
def test_combinations_that_cannot_be(changes: dict[str, Any], message: str, train: Train) -> None:
    with pytest.raises(UsageError) as raised:
        train(replace(QUICK, **changes))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("samples", "batch", "size", "sync", "option"),
    [(333, 3, 4, False, "--batch-size"), (3, 100, 4, False, "--batch-size"), (201, 100, 2, True, "--samples")],
)
def test_batches_that_cannot_be_divided(samples: int, batch: int, size: int, sync: bool, option: str) -> None:
    from hpcnn.train.setup import check_batch

    with pytest.raises(UsageError, match=f"^{option}: "):
        check_batch(TrainSpec(batch_size=batch, sync_batch_norm=sync), samples, size)


@pytest.mark.slow
def test_the_command_refuses_too_small_a_batch_with_status_2(hpcnn: Command, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    spec = replace(QUICK, strategy="mirrored", devices=4, batch_size=3)
    result = hpcnn("train", "--run-dir", run.path, *options_of(spec), cwd=USER)
    assert result.returncode == 2
    assert result.stderr == (
        "Error: --batch-size: 3 is not valid; expected at least one sample for each of the 4 replicas.\n"
    )
    recorded = run.read_result() or {}
    assert (recorded["status"], recorded["exit_code"]) == ("failed", 2)
    assert recorded["reason"].startswith("--batch-size: 3 is not valid")


def test_masks_are_drawn_apart_once_however_often_a_script_fits() -> None:
    import numpy as np
    import tensorflow as tf

    from hpcnn.train.dropout import draw_own_masks

    class LastOfTwo(SingleReplica):
        size, rank = 2, 1

    def mask(preparations: int) -> Any:
        keras.utils.set_random_seed(1)
        layer = keras.layers.Dropout(0.5, dtype="float32")
        model = keras.Sequential([keras.Input((1000,)), layer])
        for _ in range(preparations):
            draw_own_masks(model, LastOfTwo())
        return model(tf.ones((1, 1000)), training=True).numpy()

    assert np.array_equal(mask(1), mask(2))
    assert not np.array_equal(mask(0), mask(1))
