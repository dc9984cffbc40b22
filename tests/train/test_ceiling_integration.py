"""Runs without communication: the ranks drift apart, the record says so, and nobody can take one for a training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpcnn.report import load
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.complete import complete
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from tests.train.cases import ALONE, MOMENTUM, REPLICAS
from tests.train.launching import Submit, Trained, options_of

CEILING = replace(MOMENTUM, strategy="horovod", checkpoint=False, communication=False)


def last_weights(run: Path) -> list[np.ndarray]:
    """Return each replica's weights as one vector."""
    files = sorted(run.glob("weights.*.npz"))
    return [np.concatenate([array.ravel() for _, array in sorted(np.load(file).items())]) for file in files]


@pytest.mark.mpi
@pytest.mark.slow
@pytest.mark.parametrize("setup", ["horovod-2", "mirrored", "multiworker-2"])
def test_replicas_differ_without_communication_and_only_then(setup: str, trained: Trained) -> None:
    """Of the same start, so that what differs is what they have learned."""
    alone, together = last_weights(trained(setup) / ALONE), last_weights(trained(setup) / "momentum")
    assert len(alone) == len(together) == REPLICAS[setup]
    assert np.array_equal(*together)
    assert 1e-3 < np.abs(alone[0] - alone[1]).max() < 1


@pytest.mark.mpi
@pytest.mark.slow
def test_a_run_without_communication_says_that_it_is_no_training(submit: Submit, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    ended = submit(run.path, 2, *options_of(CEILING))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = ended.stdout.splitlines()
    assert "without communication: a measurement of the ceiling, no training" in lines[0]
    assert lines[-1].startswith("no result: without communication")

    result = run.read_result() or {}
    assert (result["status"], result["training"], result["test"]) == ("completed", False, None)
    for file in (run.spec, run.provenance):
        assert json.loads(file.read_text())["train"]["communication"] is False
    data = load(run.path)
    assert list(data.runs["train_communication"]) == [False]
    assert data.runs["test_accuracy"].isna().all()
    assert data.epochs["validation_accuracy"].isna().all()
    share = data.epochs["seconds_communication"] / data.epochs["seconds_total"]
    assert (share < 0.02).all()


def test_a_training_says_that_it_is_one(alone: RunDir) -> None:
    assert (alone.read_result() or {})["training"] is True


def test_it_does_not_evaluate_unless_it_trains() -> None:
    assert complete(MOMENTUM).evaluate is True
    assert complete(replace(MOMENTUM, evaluate=False)).evaluate is False
    assert complete(CEILING).evaluate is False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_accuracy": 0.9}, "--target-accuracy: 0.9 is not valid; expected no value with --no-communication"),
        ({"checkpoint": True}, "--checkpoint: True"),
    ],
)
def test_what_asks_for_a_trained_network_is_refused(changes: dict[str, object], message: str) -> None:
    spec: TrainSpec = replace(CEILING, **changes)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        complete(spec)
    assert message in str(caught.value)
