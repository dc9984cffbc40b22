"""Maps of a run: images with the right classes of their pixels beside those that the network gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcnn.figures.networks.samples import as_picture, to_unit, without_ticks
from hpcnn.figures.style import COLOURS, FAINT, MUTED, SERIES, figure_with_title, styled
from hpcnn.stats.overlap import dice, iou, mean_of_classes, share_right
from hpcnn.util.errors import UsageError, bad_value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpcnn.train.trained import Trained
    from hpcnn.util.types import Array

_COLUMNS = ("image", "right classes", "given classes")
_SIDE_INCHES, _LEGEND_INCHES = 2.0, 0.3
# What the colours of so many classes can be told by; more of them take neighbouring colours.
_MOST_IN_LEGEND = 20


@styled
def draw(trained: Trained, *, count: int = 4, channel: int | None = None) -> Figure:
    """Return a row for each of ``count`` test samples, those with the most classes first.

    channel: of the samples, from 0, to show in grey; without, red, green and blue or the first one. Raises UsageError
    for a run whose labels are no maps.
    """
    from matplotlib.patches import Patch

    data = trained.data
    if not data.is_map or len(data.y_test.shape) != 3:
        raise UsageError(f"{trained.spec.data}: has {data.what}, and a picture of maps needs a class for each pixel")
    channels = data.input_shape[-1]
    if channel is not None and not 0 <= channel < channels:
        raise bad_value("--channel", channel, f"0 to {channels - 1}")
    table, chosen = _counted(trained, count)
    of_class = iou(table)
    width, height = data.y_test.shape[2], data.y_test.shape[1]
    side = _SIDE_INCHES * min(height / width, 1.5)
    shown = min(data.classes, _MOST_IN_LEGEND)
    legend_height = _LEGEND_INCHES * (1 + -(-(shown + 1) // 3))
    figure = figure_with_title(
        3 * _SIDE_INCHES + 0.4,
        len(chosen) * (side + 0.05) + 1.3 + legend_height,
        f"{trained.what}: mean intersection over union {mean_of_classes(of_class):.3f}",
        f"Of {data.test_samples:,} test samples: {share_right(table):.2%} of the pixels right, mean Dice "
        f"{mean_of_classes(dice(table)):.3f}. The samples with the most classes come first.",
    )
    grid = figure.add_gridspec(len(chosen) + 1, 3, height_ratios=[*([side] * len(chosen)), legend_height])
    panels = [[figure.add_subplot(grid[row, column]) for column in range(3)] for row in range(len(chosen))]
    colours = class_colours(data.classes)
    for row, number in zip(panels, chosen, strict=True):
        image, truth = data.x_test[[number]][0], data.y_test[[number]][0]
        row[0].imshow(_picture(image, channel), cmap="gray")
        row[1].imshow(_coloured(truth, colours))
        row[2].imshow(_coloured(trained.maps(data.x_test[[number]])[0], colours))
        row[0].set_ylabel(f"sample {number}", color=MUTED)
        for axes in row:
            axes.grid(False)
            without_ticks(axes)
    for axes, name in zip(panels[0], _COLUMNS, strict=True):
        axes.set_title(name)
    patches = [
        Patch(facecolor=tuple(colours[one]), edgecolor=MUTED, label=f"{one}: {_number(of_class[one])}")
        for one in range(shown)
    ]
    if data.ignore_label is not None:
        patches.append(Patch(facecolor="white", edgecolor=MUTED, label="does not count"))
    title = "class: its intersection over union" + (f" (the first {shown})" if shown < data.classes else "")
    below = figure.add_subplot(grid[-1, :])
    below.axis("off")
    below.legend(handles=patches, loc="center", ncols=3, title=title)
    return figure


def class_colours(classes: int) -> Array:
    """Return a colour for each class, (classes, 3) in 0..1: the first one, often the background, is pale."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    if classes <= len(SERIES) + 1:
        return np.array([to_rgb(FAINT), *(to_rgb(COLOURS[name].light) for name in SERIES)])[:classes]
    wheel = colormaps["turbo"](np.linspace(0.05, 0.95, classes - 1))[:, :3]
    return np.vstack([to_rgb(FAINT), wheel])


def _counted(trained: Trained, count: int) -> tuple[Array, Array]:
    """Return the table of counts over all test samples, and the numbers of the samples to show."""
    data = trained.data
    table = np.zeros(data.classes**2, np.int64)
    different = np.zeros(data.test_samples, np.int64)
    step = trained.batch
    for first in range(0, data.test_samples, step):
        truth = np.asarray(data.y_test[first : first + step])
        given = trained.maps(data.x_test[first : first + step])
        valid = np.ones(truth.shape, bool) if data.ignore_label is None else truth != data.ignore_label
        pairs = truth[valid].astype(np.int64) * data.classes + given[valid]
        table += np.bincount(pairs, minlength=data.classes**2)
        different[first : first + step] = [len(np.unique(y[v])) for y, v in zip(truth, valid, strict=True)]
    return table.reshape(data.classes, data.classes), np.argsort(-different, kind="stable")[:count]


def _coloured(labels: Array, colours: Array) -> Array:
    """Return a map as a picture; labels beyond the classes are white."""
    with_white = np.vstack([colours, np.ones(3)])
    picture: Array = with_white[np.where((labels >= 0) & (labels < len(colours)), labels, len(colours))]
    return picture


def _picture(image: Array, channel: int | None) -> Array:
    if image.ndim == 2:
        return image
    if channel is None and image.shape[-1] in (1, 3):
        return as_picture(image)
    return to_unit(image[..., channel or 0].astype(np.float64))


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"
