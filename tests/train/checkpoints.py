"""Whether a checkpoint is what its run recorded, by Keras alone."""

from __future__ import annotations

import zipfile
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

from hpcnn.data.registry import load
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.train import TrainSpec


def unseen(spec: TrainSpec) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the test images, with pixels of 0 to 1, and their labels."""
    data = load(spec.data, samples=spec.samples, test_samples=spec.test_samples)
    return data.x_test / 255, data.y_test


def checks_out(run: RunDir, spec: TrainSpec) -> None:
    """Load the last checkpoint by Keras alone and evaluate it: it must give the recorded test results."""
    files = sorted(path.name for path in run.checkpoints.iterdir())
    assert files == ["attempt.json", "epoch-001.keras", "epoch-002.keras"]
    last = run.checkpoints / files[-1]
    with zipfile.ZipFile(last) as archive:
        assert b"hpcnn" not in archive.read("config.json")
    x, y = unseen(spec)
    model = keras.models.load_model(last)
    labels = y if "sparse" in str(model.loss) else np.eye(10)[y]
    found = model.evaluate(x, labels, verbose=0, return_dict=True)
    recorded = (run.read_result() or {})["test"]
    assert found["accuracy"] == pytest.approx(recorded["accuracy"], abs=1e-6)
    assert found["loss"] == pytest.approx(recorded["loss"], rel=1e-3)
