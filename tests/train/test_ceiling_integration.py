"""Runs without communication: the ranks drift apart, the record says so, and nobody can take one for a training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hpcnn.report import load
from hpcnn.rundir.layout import RunDir
from tests.train.cases import ALONE, CEILING, REPLICAS
from tests.train.launching import Submit, Trained, options_of


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
