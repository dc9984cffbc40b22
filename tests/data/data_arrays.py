"""Small arrays of a data set, and the skip of tests that need the real MNIST."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests import isolation

REAL_MNIST = Path(os.environ.get(isolation.DATA, "")) / "mnist.npz"
needs_mnist = pytest.mark.skipif(not REAL_MNIST.is_file(), reason="no mnist.npz in HPCNN_DATA")


def images(count, shape=(4, 4, 1), dtype=np.uint8):
    return np.random.default_rng(count).integers(0, 256, (count, *shape)).astype(dtype)


def labels(count, classes=3):
    return np.arange(count)[::-1] % classes


def arrays(count=6, test=3, **changes):
    whole = {
        "x_train": images(count),
        "y_train": labels(count),
        "x_test": images(test),
        "y_test": labels(test),
    }
    return {**whole, **changes}
