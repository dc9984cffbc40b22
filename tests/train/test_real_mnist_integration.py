"""The lecture's network with dropout on the real MNIST, as `hpcnn train` is given it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from tests.train.launching import Command

pytestmark = [pytest.mark.slow, pytest.mark.realdata]


def accuracy(hpcnn: Command, run: RunDir, *words: object) -> float:
    """Train for three epochs and return the accuracy on all 10,000 test images."""
    given = ("--model", "psc-cnn-dropout", "--data", "mnist", "--epochs", 3, *words)
    result = hpcnn("train", "--run-dir", run.path, *given, timeout=600)
    assert result.returncode == 0, result.stderr
    recorded = run.read_result() or {}
    assert recorded["test_samples"] == 10_000
    found: float = recorded["test"]["accuracy"]
    return found


def test_two_thousand_images_are_enough_for_85_percent(hpcnn: Command, tmp_path: Path) -> None:
    assert accuracy(hpcnn, RunDir(tmp_path / "run"), "--samples", 2000, "--no-evaluate") >= 0.85


@pytest.mark.long
def test_all_images_give_the_lecture_s_98_5_percent(hpcnn: Command, tmp_path: Path) -> None:
    assert accuracy(hpcnn, RunDir(tmp_path / "run")) >= 0.985
