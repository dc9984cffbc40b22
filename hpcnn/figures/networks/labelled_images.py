"""What the network saw of image files, each with its likeliest labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from hpcnn.data.dataset import Array
from hpcnn.figures.networks.style import INK, as_picture, blank, new_figure
from hpcnn.train.trained import Trained

_MOST_COLUMNS = 6
_LONGEST_NAME = 22


def draw(trained: Trained, images: Array, names: Sequence[str], answers: Sequence[Sequence[dict[str, Any]]]) -> Figure:
    """Return ``images`` (in the data's form) with their names; below each its ``answers``: label and probability."""
    columns = min(len(images), _MOST_COLUMNS)
    rows = math.ceil(len(images) / columns)
    figure = new_figure(
        max(columns * 1.6, 5.0),
        rows * 2.3 + 1.0,
        trained.what,
        "The images as the network saw them; below, its likeliest labels and their probabilities.",
    )
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(images) :]:
        axes.axis("off")
    for axes, image, name, likeliest in zip(panels.flat, images, names, answers, strict=False):
        blank(axes).imshow(as_picture(image), cmap=INK)
        axes.set_title(name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}", fontsize=8)
        lines = [f"{answer['label']}: {answer['probability']:.1%}" for answer in likeliest]
        axes.set_xlabel("\n".join(lines), fontsize=9)
    return figure
