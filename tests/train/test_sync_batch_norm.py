"""Moments of the global batch, against float64: also where the mean is large beside the deviation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from hpcnn.train.sync_batch_norm import GlobalMoments  # noqa: E402


class WithAnother:
    """A strategy of two replicas whose other one holds these samples, (n, channels)."""

    def __init__(self, other: np.ndarray[Any, Any]) -> None:
        mean, count = other.mean(axis=0), len(other)
        within = ((other - mean) ** 2).sum(axis=0)
        self._other = [np.stack([mean * count, mean * mean * count, within]), np.float64(count)]

    def reduce(self, tensors: Sequence[Any], name: str) -> list[Any]:
        assert name == "a name"
        return [tensor + other for tensor, other in zip(tensors, self._other, strict=True)]


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (100.0, 0.3), (1000.0, 1.0), (-3e4, 0.5)])
def test_the_moments_of_unequal_slices_are_those_of_the_whole(mean: float, deviation: float) -> None:
    random = np.random.default_rng(1)
    whole = random.normal(mean, deviation, (300, 5)).astype(np.float32)
    whole[120:] += np.float32(deviation)  # so that the slices' means differ
    layer = keras.layers.BatchNormalization()
    moments = GlobalMoments(layer, WithAnother(whole[120:].astype(np.float64)), "a name")
    found_mean, found_variance = moments(tf.constant(whole[:120]), None)

    exact = whole.astype(np.float64)
    np.testing.assert_allclose(found_mean, exact.mean(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found_variance, exact.var(axis=0), rtol=2e-4)
