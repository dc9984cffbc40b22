"""The decision boundary of a run: which class its network says at every point of the plane.

Computes only; drawing is the plot's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from hpcnn.models.numpy.costs import Array
from hpcnn.train.numpy.weights import load
from hpcnn.util.errors import UsageError

# Grid points along each axis: about the pixels of a small plot.
POINTS = 300
# How far the grid goes beyond the training points, as a share of their extent.
MARGIN = 0.1


@dataclass(frozen=True)
class Boundary:
    """x, y, predictions: (g, g), a grid and the class number at each of its points, as ``contourf`` takes them.

    points: (n, 2), the training points; labels: (n,), their class numbers.
    """

    x: Array
    y: Array
    predictions: Array
    points: Array
    labels: Array


def boundary(run_dir: str | os.PathLike[str], *, grid: int = POINTS) -> Boundary:
    """Return what the network of a run says on a ``grid`` x ``grid`` of points around its training points.

    Raises UsageError for a run that left no weights of a network in NumPy, or whose samples are not of two features.
    """
    from hpcnn.data.registry import load_of

    spec, network = load(run_dir)
    data = load_of(spec)
    points = data.x_train
    if data.input_shape != (2,):
        raise UsageError(
            f"run directory {os.fspath(run_dir)!r}: a decision boundary needs points in the plane, samples of shape "
            f"(2,); {spec.data} has {data.input_shape}"
        )
    low, high = points.min(axis=0), points.max(axis=0)
    edge = MARGIN * (high - low)
    axes = np.linspace(low - edge, high + edge, grid)
    x, y = np.meshgrid(axes[:, 0], axes[:, 1])
    predictions = network.classes(network.forward(np.column_stack([x.ravel(), y.ravel()])))
    return Boundary(x, y, predictions.reshape(x.shape), points, data.y_train)
