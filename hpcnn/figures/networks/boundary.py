"""The decision boundary of a network on points in the plane: which class it says where."""

from __future__ import annotations

import importlib
import os
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from hpcnn.data.dataset import Array
from hpcnn.figures.networks.style import COLOURS, MARKERS, new_figure
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.read import read_run
from hpcnn.train.trained import Trained, open_trained, short
from hpcnn.util.errors import UsageError

_GRID = 300
# How far the picture goes beyond the points, as a share of their extent.
_MARGIN = 0.1
# More points than these would hide the areas.
_MOST_POINTS = 1000


class Plane(NamedTuple):
    """x, y, predictions: (g, g), a grid and the class at each of its points; points: (n, 2); labels: (n,)."""

    x: Array
    y: Array
    predictions: Array
    points: Array
    labels: Array


def draw(run_dir: str | os.PathLike[str], *, epoch: int | None = None) -> Figure:
    """Return the areas that the network of a run gives to each class, below the points it was trained on.

    Takes the network that ``--checkpoint`` kept, or one written in NumPy (``hpcnn.train.numpy``). Raises UsageError
    for a run that has neither, and for samples that are not two numbers.
    """
    run = RunDir(run_dir)
    if epoch is not None or run.networks() or not run.spec.exists():
        trained = open_trained(run_dir, epoch)
        plane, accuracy, when = _plane_of(trained), trained.recorded_accuracy, f", epoch {trained.epoch}"
    else:
        plane, accuracy, when = _plane_in_numpy(run_dir), read_run(run.path).run["test_accuracy"], ""
    facts = read_run(run.path).run
    title = f"{facts['run']}: {facts['model']} on {short(str(facts['data']))}{when}"
    return _draw(plane, title if accuracy is None else f"{title}: test accuracy {accuracy:.2%}")


def _plane_of(trained: Trained) -> Plane:
    data = trained.data
    if data.input_shape != (2,):
        raise UsageError(
            f"data set {data.name!r}: its samples have shape {data.input_shape}; a decision boundary needs points in "
            "the plane, samples of shape (2,)"
        )
    low, high = data.x_train.min(axis=0), data.x_train.max(axis=0)
    edge = _MARGIN * (high - low)
    x, y = np.meshgrid(*np.linspace(low - edge, high + edge, _GRID).T)
    points = np.column_stack([x.ravel(), y.ravel()]).astype(data.x_train.dtype)
    predictions = trained.probabilities(points).argmax(axis=1).reshape(x.shape)
    return Plane(x, y, predictions, data.x_train, data.y_train)


def _plane_in_numpy(run_dir: str | os.PathLike[str]) -> Any:
    try:
        return importlib.import_module("hpcnn.train.numpy").boundary(run_dir)
    except UsageError as error:
        raise UsageError(f"{error}. Of a Keras network, train with --checkpoint, which keeps it") from error


def _draw(plane: Any, title: str) -> Figure:
    figure = new_figure(
        6.5, 5.6, title, "Areas: what the network says. Points: the training samples and their classes."
    )
    axes = figure.add_subplot()
    classes = int(max(plane.labels.max(), plane.predictions.max())) + 1
    colours = [COLOURS[number % len(COLOURS)] for number in range(classes)]
    levels = np.arange(classes + 1) - 0.5
    axes.contourf(plane.x, plane.y, plane.predictions, levels=levels, cmap=ListedColormap(colours), alpha=0.25)
    for number, colour in enumerate(colours):
        x, y = plane.points[:_MOST_POINTS][plane.labels[:_MOST_POINTS] == number].T
        marker = MARKERS[number % len(MARKERS)]
        axes.scatter(x, y, s=16, c=colour, marker=marker, linewidths=0.4, edgecolors="white", label=f"class {number}")
    axes.set(xlabel="$x_1$", ylabel="$x_2$")
    axes.legend(loc="best", fontsize=9)
    return figure
