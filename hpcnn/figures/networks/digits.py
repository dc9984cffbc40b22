"""Test images with the labels that the network gives them, the mistakes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcnn.figures.networks.samples import GREY_MAP, as_picture, check_images
from hpcnn.figures.style import ACCENT, INK, SMALL_TEXT, figure_with_title, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpcnn.train.trained import Trained
    from hpcnn.util.types import Array

_COLUMNS = 10
_CELL_INCHES = (0.72, 0.9)


@styled
def draw(trained: Trained, *, count: int = 50) -> Figure:
    """Return a grid of the first ``count`` test images in the order of ``mistakes_first``.

    Below each is the predicted label; a mistake has a frame, and the right label too.
    """
    from matplotlib.patches import Rectangle

    data = trained.data
    check_images(data)
    probabilities = trained.probabilities(data.x_test)
    given = probabilities.argmax(axis=1)
    right = int((given == data.y_test).sum())
    total, mistakes = len(given), len(given) - right
    shown = mistakes_first(data.y_test, probabilities)[:count]
    rows = -(-len(shown) // _COLUMNS)
    first = f"the {mistakes} mistakes" if mistakes <= len(shown) else f"{len(shown)} of the {mistakes} mistakes"
    figure = figure_with_title(
        _COLUMNS * _CELL_INCHES[0],
        rows * _CELL_INCHES[1] + 0.85,
        f"{trained.what}: {right / total:.2%} of {total:,} test images right",
        f"Framed: {first}, the surest first: label given, and what it is. "
        "Then images labelled rightly, the least sure first.",
    )
    axes = figure.add_subplot()
    axes.set(xlim=(-0.1, _COLUMNS), ylim=(rows * 1.25, -0.1), aspect="equal")
    axes.axis("off")
    for place, sample in enumerate(shown):
        left, top = place % _COLUMNS, place // _COLUMNS * 1.25
        axes.imshow(as_picture(data.x_test[sample]), cmap=GREY_MAP, extent=(left, left + 0.9, top + 0.9, top))
        label, wrong = int(given[sample]), given[sample] != data.y_test[sample]
        text = f"{label}, is {int(data.y_test[sample])}" if wrong else str(label)
        colour, width, weight = (ACCENT, 2.0, "bold") if wrong else (INK, 0.4, "normal")
        axes.text(
            left + 0.45, top + 1.07, text, ha="center", va="center", fontsize=SMALL_TEXT, color=colour, weight=weight
        )
        axes.add_patch(Rectangle((left, top), 0.9, 0.9, fill=False, edgecolor=colour, linewidth=width))
    axes.set(xlim=(-0.1, _COLUMNS), ylim=(rows * 1.25, -0.1))  # imshow sets its own
    return figure


def mistakes_first(labels: Array, probabilities: Array) -> Array:
    """Return the numbers of all samples: wrong ones, the surest first; then right ones, the least sure first.

    labels: (N,), the right ones; probabilities: (N, classes). How sure: the largest probability.
    """
    sure = probabilities.max(axis=1)
    wrong = probabilities.argmax(axis=1) != labels
    mistakes, others = np.flatnonzero(wrong), np.flatnonzero(~wrong)
    return np.concatenate(
        [mistakes[np.argsort(-sure[mistakes], kind="stable")], others[np.argsort(sure[others], kind="stable")]]
    )
