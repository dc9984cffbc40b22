"""The decision boundary of a network on points in the plane: the area of each class."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.figures.style import figure_with_title, legend, look, styled
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.read import read_run
from hpcnn.train.numpy.surface import MARGIN, POINTS, Boundary, boundary
from hpcnn.train.trained import Trained, open_trained, short
from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# More points than these would hide the areas.
_MOST_POINTS = 1000


@styled
def draw(run_dir: str | os.PathLike[str], *, epoch: int | None = None, trust: bool = False) -> Figure:
    """Return the areas that the network of a run gives to each class, below the points it was trained on.

    The network is the one that ``--checkpoint`` kept, or one written in NumPy. Raises UsageError for a run that has
    neither, and for samples that are not two numbers.
    """
    run = RunDir(run_dir)
    if epoch is not None or run.networks() or not run.spec.exists():
        trained = open_trained(run_dir, epoch, trust=trust)
        plane, accuracy, when = _plane_of(trained), trained.recorded_accuracy, f", epoch {trained.epoch}"
    else:
        plane, accuracy, when = _plane_in_numpy(run_dir), read_run(run.path).run["test_accuracy"], ""
    facts = read_run(run.path).run
    title = f"{facts['run']}: {facts['model']} on {short(str(facts['data']))}{when}"
    return _draw(plane, title if accuracy is None else f"{title}: test accuracy {accuracy:.2%}")


def _plane_of(trained: Trained) -> Boundary:
    data = trained.data
    if data.input_shape != (2,):
        raise UsageError(
            f"data set {data.name!r}: its samples have shape {data.input_shape}; a decision boundary needs points in "
            "the plane, samples of shape (2,)"
        )
    low, high = data.x_train.min(axis=0), data.x_train.max(axis=0)
    edge = MARGIN * (high - low)
    x, y = np.meshgrid(*np.linspace(low - edge, high + edge, POINTS).T)
    points = np.column_stack([x.ravel(), y.ravel()]).astype(data.x_train.dtype)
    predictions = trained.probabilities(points).argmax(axis=1).reshape(x.shape)
    return Boundary(x, y, predictions, data.x_train, data.y_train)


def _plane_in_numpy(run_dir: str | os.PathLike[str]) -> Boundary:
    try:
        return boundary(run_dir)
    except UsageError as error:
        raise UsageError(f"{error}. Of a Keras network, train with --checkpoint, which keeps it") from error


def _draw(plane: Boundary, title: str) -> Figure:
    from matplotlib.colors import ListedColormap

    figure = figure_with_title(
        6.5, 5.6, title, "Areas: what the network says. Points: the training samples and their classes."
    )
    axes = figure.add_subplot()
    classes = int(max(plane.labels.max(), plane.predictions.max())) + 1
    looks = [look(number) for number in range(classes)]
    areas = ListedColormap([colour for colour, *_ in looks])
    levels = np.arange(classes + 1) - 0.5
    axes.contourf(plane.x, plane.y, plane.predictions, levels=levels, cmap=areas, alpha=0.25)
    for number, (colour, marker, _) in enumerate(looks):
        x, y = plane.points[:_MOST_POINTS][plane.labels[:_MOST_POINTS] == number].T
        axes.scatter(x, y, s=16, c=colour, marker=marker, linewidths=0.4, edgecolors="white", label=f"class {number}")
    axes.set(xlabel="x₁", ylabel="x₂")
    axes.grid(False)
    axes.spines[:].set_visible(True)
    legend(axes, framed=True)
    return figure
