"""Points: the small data sets on which SciNet's lecture of 2017 shows its first networks.

One is a table of seven days. Two are points in the plane, drawn by scikit-learn with the lecture's parameters, 400 to
train on and 100 to test on. The lecture fixes no seed, and how well the classes can be told apart differs from draw to
draw. The draws here are, of the seeds 0 to 7, those with which the lecture's networks come nearest to the accuracies
that it reports.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcnn.data.dataset import DataSet
from hpcnn.data.sources import from_catalogue
from hpcnn.util.extras import optional_module
from hpcnn.zoo.catalogue import describe

_BLOBS_SEED = 2
_CIRCLES_SEED = 1


def read_blobs() -> DataSet:
    """Return two clouds of points, their centres anywhere in the square from -3 to 3: x (N, 2) float32, 2 classes."""
    return _drawn("blobs", "make_blobs", centers=2, center_box=(-3.0, 3.0), random_state=_BLOBS_SEED)


def read_circles() -> DataSet:
    """Return points of two circles around the origin, radii 1 and 0.8, with noise: x (N, 2) float32, 2 classes."""
    return _drawn("circles", "make_circles", noise=0.1, factor=0.8, random_state=_CIRCLES_SEED)


# How cloudy, hot and windy a day was, from 1 to 3, and whether one went to the beach.
_DAYS = (
    ((1, 3, 2), 1),
    ((3, 3, 2), 1),
    ((1, 3, 3), 0),
    ((1, 1, 2), 0),
    ((1, 2, 2), 0),
    ((2, 3, 1), 1),
    ((2, 1, 2), 0),
)


def read_beach() -> DataSet:
    """Return the lecture's seven days: x (7, 3) float32, 2 classes. The test set is the training set."""
    x = np.array([weather for weather, _ in _DAYS], np.float32)
    y = np.array([went for _, went in _DAYS])
    return from_catalogue(describe("beach"), (x, y, x, y), "the lecture's table")


def _drawn(name: str, function: str, **parameters: Any) -> DataSet:
    entry = describe(name)
    datasets = optional_module("sklearn.datasets", f"data set {name!r}")
    # they come shuffled: the last ones are a fair test set
    x, y = getattr(datasets, function)(n_samples=entry.train + entry.test, **parameters)
    x = x.astype(np.float32)
    return from_catalogue(
        entry, (x[: entry.train], y[: entry.train], x[entry.train :], y[entry.train :]), "scikit-learn"
    )
