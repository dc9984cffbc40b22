"""The PyTorch form of the two-convolution network: the same weights as Keras's, and from them the same loss."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "pytorch_cnn.py"


@pytest.fixture(scope="module")
def torch_python() -> str:
    """Return a Python that has PyTorch: this one, or that of HPCNN_TORCH."""
    if importlib.util.find_spec("torch"):
        return sys.executable
    if not os.environ.get("HPCNN_TORCH"):
        pytest.skip("needs PyTorch: install it, or set HPCNN_TORCH to a Python that has it")
    return os.environ["HPCNN_TORCH"]


def test_it_has_keras_parameters_and_from_its_weights_its_first_loss(torch_python: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras", reason="the Keras form needs TensorFlow (make venv)")
    from hpcnn.data.registry import load
    from hpcnn.models.registry import build

    keras.utils.set_random_seed(1)
    model = build("psc-cnn-dropout")
    data = load("digits")
    np.savez(tmp_path / "weights.npz", *model.get_weights())
    arrays = {key: getattr(data, key) for key in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "digits.npz", **arrays)
    words = (tmp_path / "digits.npz", "--weights", tmp_path / "weights.npz", "--epochs", 1)
    ended = subprocess.run(
        [torch_python, EXAMPLE, *map(str, words)], capture_output=True, text=True, timeout=200, check=False
    )
    assert ended.returncode == 0, ended.stderr

    assert ended.stdout.startswith("1,199,882 parameters")
    assert model.count_params() == 1_199_882
    found = re.search(r"first loss ([\d.]+)", ended.stdout)
    assert found is not None
    predicted = model(data.x_train[:64] / np.float32(255), training=False)
    expected = float(keras.losses.SparseCategoricalCrossentropy()(data.y_train[:64], predicted))
    assert float(found[1]) == pytest.approx(expected, abs=2e-6)
    accuracy = re.search(r"test accuracy ([\d.]+)", ended.stdout)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.5  # it learns
