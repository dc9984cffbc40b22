"""The lecture's network with dropout on the real MNIST: 98.5 % of the test images after three epochs."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from tests.train.launching import Command


@pytest.mark.slow
@pytest.mark.realdata
def test_three_epochs_of_the_lecture_s_network(hpcnn: Command, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    words = ("--model", "psc-cnn-dropout", "--data", "mnist", "--epochs", 3)
    result = hpcnn("train", "--run-dir", run.path, *words, timeout=600)
    assert result.returncode == 0, result.stderr
    recorded = run.read_result() or {}
    assert recorded["test_samples"] == 10_000
    assert recorded["test"]["accuracy"] >= 0.985
