"""The confusion matrix of a run on its test set: counts, and the recall of every class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcnn.figures.style import INK, SMALL_TEXT, figure_with_title, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hpcnn.train.trained import Trained
    from hpcnn.util.types import Array

# With more classes, the numbers would not be readable.
_MOST_WITH_NUMBERS = 25
# From this share of the darkest colour on, white text is easier to read than dark text.
_DARK = 0.55


def matrix(labels: Array, given: Array, classes: int) -> Array:
    """Return counts, (classes, classes): row is the right label, column the one given."""
    counts: Array = np.bincount(labels * classes + given, minlength=classes * classes)
    return counts.reshape(classes, classes)


@styled
def draw(trained: Trained) -> Figure:
    """Return the matrix as a heat map: blue for what is right, orange for mistakes, each against its largest count."""
    data = trained.data
    given = trained.probabilities(data.x_test).argmax(axis=1)
    counts = matrix(data.y_test, given, data.classes)
    right, total = int(np.trace(counts)), int(counts.sum())
    numbers = data.classes <= _MOST_WITH_NUMBERS
    side = max(0.48 * data.classes, 2.5) if numbers else 7.0
    figure = figure_with_title(
        side + 2.2,
        side + 1.2,
        f"{trained.what}: {right / total:.2%} of {total:,} test samples right",
        "Blue: right. Orange: mistakes, the darker the more. Recall: share of a class that is labelled rightly.",
    )
    axes = figure.add_subplot()
    is_right = np.eye(data.classes, dtype=bool)
    for cmap, cells in (("Blues", is_right), ("Oranges", ~is_right)):
        part = np.ma.masked_array(counts, ~cells | (counts == 0))
        axes.imshow(part, cmap=cmap, vmin=0, vmax=max(int(part.max() or 0), 1))
    axes.grid(False)
    axes.spines[:].set_visible(True)
    axes.set(xlabel="label given", ylabel="right label")
    if numbers:
        axes.set(xticks=range(data.classes), yticks=range(data.classes))
        _write_numbers(axes, counts)
    _write_recall(axes, counts, every=1 if numbers else 10)
    return figure


def recall(counts: Array) -> Array:
    """Return the share of each class that was labelled rightly, (classes,); NaN for one without samples."""
    of_class = counts.sum(axis=1)
    return np.where(of_class > 0, np.diag(counts) / np.maximum(of_class, 1), np.nan)


def _write_numbers(axes: Axes, counts: Array) -> None:
    largest = {True: max(int(np.diag(counts).max()), 1), False: max(int((counts - np.diag(np.diag(counts))).max()), 1)}
    for row, column in np.argwhere(counts > 0):
        count = int(counts[row, column])
        dark = count / largest[bool(row == column)] > _DARK
        axes.text(
            column, row, str(count), ha="center", va="center", fontsize=SMALL_TEXT, color="white" if dark else INK
        )


def _write_recall(axes: Axes, counts: Array, every: int) -> None:
    classes = len(counts)
    beside = axes.secondary_yaxis("right")
    beside.grid(False)
    places = range(0, classes, every)
    shares = recall(counts)
    beside.set_yticks(list(places), ["–" if np.isnan(shares[p]) else f"{shares[p]:.1%}" for p in places])
    beside.set_ylabel("recall")
