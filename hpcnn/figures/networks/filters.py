"""The filters of the first layer, or the weights of its neurons laid out as images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.figures.networks.samples import to_unit, without_ticks
from hpcnn.figures.networks.titles import title_of
from hpcnn.figures.style import figure_with_title, styled
from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from hpcnn.train.trained import Trained
    from hpcnn.util.types import Array

_MOST_COLUMNS = 10


@styled
def draw(trained: Trained, *, count: int = 50) -> Figure:
    """Return the first ``count`` filters of the first layer with weights.

    Grey input: blue is negative, red positive, white zero, on one scale for all. Colour input: the filter as a
    picture, each stretched to its own range.
    """
    layer, filters = first_filters(trained)
    shown = filters[:count]
    columns = min(_MOST_COLUMNS, max(math.ceil(math.sqrt(len(shown) * 1.6)), 1))
    rows = math.ceil(len(shown) / columns)
    rest = "" if len(shown) == len(filters) else f", the first {len(shown)} of {len(filters)}"
    colour = filters.shape[3] == 3
    meaning = (
        "Each stretched to its own range: red, green and blue are the weights of these channels."
        if colour
        else "Red: positive weight; blue: negative; white: zero."
    )
    size = "x".join(map(str, filters.shape[1:3]))
    cell = max(columns * 0.75, 5.5) / columns
    figure = figure_with_title(
        columns * cell + 0.8,
        rows * cell * filters.shape[1] / filters.shape[2] + 1.0,
        title_of(trained),
        f"Layer {layer}: filters of {size}{rest}. {meaning}",
    )
    largest = float(np.abs(filters).max()) or 1.0
    panels = figure.subplots(rows, columns, squeeze=False)
    drawn: AxesImage | None = None
    for axes, kernel in zip(panels.flat, shown, strict=False):
        if colour:
            without_ticks(axes).imshow(to_unit(kernel))
        else:
            drawn = without_ticks(axes).imshow(kernel[..., 0], cmap="RdBu_r", vmin=-largest, vmax=largest)
    for axes in panels.flat[len(shown) :]:
        axes.axis("off")
    if drawn is not None:
        figure.colorbar(drawn, ax=panels, label="weight", shrink=0.9)
    return figure


def first_filters(trained: Trained) -> tuple[str, Array]:
    """Return the name of the first layer with weights, and its filters, (filters, rows, columns, channels).

    The weights of a dense layer are laid out as its input images. Raises UsageError where the layer is neither a
    convolution over grey or colour images, nor a dense layer on such.
    """
    layer = next((layer for layer in trained.model.layers if layer.weights), None)
    if layer is None:
        raise UsageError(f"{trained.spec.model}: no layer has weights")
    kernel = np.asarray(getattr(layer, "kernel", np.empty(0)), np.float32)
    if kernel.ndim == 4 and kernel.shape[2] in (1, 3):
        return layer.name, np.moveaxis(kernel, 3, 0)
    shape = trained.data.input_shape
    if kernel.ndim == 2 and len(kernel) == math.prod(shape) and (len(shape) == 2 or shape[2:] in ((1,), (3,))):
        return layer.name, kernel.T.reshape(-1, *shape[:2], math.prod(shape[2:]))
    raise UsageError(
        f"{trained.spec.model}: its first layer with weights, {layer.name} ({type(layer).__name__}), has none that "
        "make pictures; expected a convolution over 1 or 3 channels, or a dense layer on images"
    )
