"""Image files in the form in which they entered the network, each with its likeliest labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from hpcnn.figures.networks.samples import GREY_MAP, as_picture, without_ticks
from hpcnn.figures.style import SMALL_TEXT, figure_with_title, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpcnn.train.trained import Trained
    from hpcnn.util.types import Array

_MOST_COLUMNS = 6
_LONGEST_NAME = 22


class Answer(TypedDict):
    """A label that the network gives an image, and its probability, 0 to 1."""

    label: int
    probability: float


@styled
def draw(trained: Trained, images: Array, names: Sequence[str], answers: Sequence[Sequence[Answer]]) -> Figure:
    """Return ``images`` (in the data's form) with their names; below each its ``answers``: label and probability."""
    columns = min(len(images), _MOST_COLUMNS)
    rows = math.ceil(len(images) / columns)
    figure = figure_with_title(
        max(columns * 1.6, 5.0),
        rows * 2.3 + 1.0,
        trained.what,
        "The images as the network saw them; below, its likeliest labels and their probabilities.",
    )
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(images) :]:
        axes.axis("off")
    for axes, image, name, likeliest in zip(panels.flat, images, names, answers, strict=False):
        without_ticks(axes).imshow(as_picture(image), cmap=GREY_MAP)
        axes.set_title(name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}", fontsize=SMALL_TEXT)
        lines = [f"{answer['label']}: {answer['probability']:.1%}" for answer in likeliest]
        axes.set_xlabel("\n".join(lines))
    return figure
