"""Trainings that hpcnn 0.1.0 was asked to stop go on where it stopped, and reach what they reached under it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]

TRAIN = "train --resume --run-dir runs/stopped-train --model tiny:build --samples 512 --test-samples 100 --epochs 16"
NUMPY = "train --resume --run-dir runs/numpy-stopped --model scinet-hidden --data circles --batch-size 1 --epochs 40"


@pytest.mark.parametrize(
    ("run", "words", "epochs", "accuracy"),
    [
        ("stopped-serial", "resume runs/stopped-serial", 16, 0.9389),
        pytest.param("stopped-horovod", "resume runs/stopped-horovod", 10, 0.9750, marks=pytest.mark.mpi),
        ("script-stopped", "resume runs/script-stopped", 60, 0.9611),
        ("stopped-train", f"{TRAIN} --batch-size 1 --learning-rate 0.01", 16, 0.9300),
        ("numpy-stopped", f"{NUMPY} --learning-rate 0.001", 40, 0.4900),
    ],
    ids=("serial", "horovod", "script", "train", "numpy"),
)
def test_a_stopped_training_goes_on(
    run: str, words: str, epochs: int, accuracy: float, old: Path, hpcnn: Command
) -> None:
    pytest.importorskip("keras", reason="a training needs Keras")
    done = hpcnn(*words.split(), cwd=old, timeout=300, HPCNN_CONFIG=str(old / "config"))
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((old / "runs" / run / "result.json").read_text())
    assert (result["status"], result["epochs"]) == ("completed", epochs)
    assert result["test"]["accuracy"] == pytest.approx(accuracy, abs=0.02)  # to rounding, on another processor too
    lines = (old / "runs" / run / "epochs.rank00000.jsonl").read_text().splitlines()
    assert sum(json.loads(line).get("resumed", False) for line in lines) == 1
    assert len(lines) == epochs
