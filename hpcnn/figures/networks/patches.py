"""The patches of the test images that excite each filter of a layer most."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hpcnn.figures.networks.maps import last_convolution, one_layer, outputs
from hpcnn.figures.networks.receptive import Field, receptive_field
from hpcnn.figures.networks.samples import as_picture, as_unit, check_images, without_ticks
from hpcnn.figures.networks.titles import title_of
from hpcnn.figures.style import SMALL_TEXT, figure_with_title, styled, tint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpcnn.train.trained import Trained
    from hpcnn.util.types import Array, Layer

# Patches of a filter: 3 x 3, with a line between them.
_SIDE = 3
_LINE_COLOUR = "blue"
# A patch is drawn at least so large, so that the line beside it is thin.
_PIXELS = 30
_BATCH = 200


@styled
def draw(trained: Trained, *, layer: str | None = None, count: int = 16) -> Figure:
    """Return, for the first ``count`` filters of a layer, the 9 patches that excite it most, each of another image.

    layer: default the last convolution. What lies beyond the image, in its padding, is as its darkest pixel.
    """
    check_images(trained.data)
    chosen = one_layer(trained, layer) if layer else last_convolution(trained)
    fields = receptive_field(chosen)
    best = top_places(trained, chosen, count)
    columns = min(math.ceil(math.sqrt(len(best))), 8)
    rows = math.ceil(len(best) / columns)
    size = "x".join(str(field.high - field.low + 1) for field in fields)
    figure = figure_with_title(
        max(columns * 1.35, 5.5),
        rows * 1.55 + 1.2,
        title_of(trained),
        f"Layer {chosen.name}, {len(best)} of {chosen.output.shape[-1]} filters: for each the {_SIDE * _SIDE} patches "
        f"of {size} pixels that excite it most, among {len(trained.data.x_test):,} test images, one an image. "
        "Above: filter, and its largest output.",
    )
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for number, (axes, places) in enumerate(zip(panels.flat, best, strict=False)):
        patches = [cut(trained.data.x_test[place.image], fields, (place.row, place.column)) for place in places]
        axes.axis("on")
        without_ticks(axes).imshow(_tiled(patches))
        silent = all(place.output == 0 for place in places)
        axes.set_title(f"{number}: always 0" if silent else f"{number}: {places[0].output:.3g}", fontsize=SMALL_TEXT)
    return figure


class Place(NamedTuple):
    """One value of a layer's output: the image that gave it, and its row and column there."""

    output: float
    image: int
    row: int
    column: int


def top_places(trained: Trained, layer: Layer, count: int) -> list[list[Place]]:
    """Return for each of the first ``count`` filters the places of its 9 largest outputs.

    Of every test image the largest output alone counts.
    """
    images = trained.data.x_test
    best: list[list[Place]] = []
    for first in range(0, len(images), _BATCH):
        (maps,) = outputs(trained, [layer], images[first : first + _BATCH])
        of_filters = maps.reshape(len(maps), -1, maps.shape[3])[..., :count]
        best = best or [[] for _ in range(of_filters.shape[2])]
        places, largest = of_filters.argmax(axis=1), of_filters.max(axis=1)
        rows, columns = np.divmod(places, maps.shape[2])
        for number, kept in enumerate(best):
            found = [
                Place(float(value), first + sample, int(rows[sample, number]), int(columns[sample, number]))
                for sample, value in enumerate(largest[:, number])
            ]
            best[number] = heapq.nlargest(_SIDE * _SIDE, [*kept, *found], key=lambda place: place.output)
    return best


def cut(image: Array, fields: tuple[Field, Field], position: tuple[int, int]) -> Array:
    """Return the part of an image on which the value at ``position`` (row, column) of a layer's output depends."""
    spans = [field.of(place) for field, place in zip(fields, position, strict=True)]
    padding = [
        (max(-start, 0), max(stop - size, 0)) for (start, stop), size in zip(spans, image.shape[:2], strict=True)
    ]
    padded = np.pad(image, [*padding, *[(0, 0)] * (image.ndim - 2)], constant_values=image.min())
    (top, bottom), (left, right) = (
        (start + before, stop + before) for (start, stop), (before, _) in zip(spans, padding, strict=True)
    )
    return padded[top:bottom, left:right]


def _tiled(patches: list[Array]) -> Array:
    """Return up to 9 patches as one picture in colour, (rows, columns, 3), 3 x 3 with a line between them."""
    from matplotlib.colors import to_rgb

    pictures = [_in_colour(patch) for patch in patches]
    larger = math.ceil(_PIXELS / min(pictures[0].shape[:2]))
    pictures = [picture.repeat(larger, axis=0).repeat(larger, axis=1) for picture in pictures]
    height, width = pictures[0].shape[:2]
    line = _PIXELS // 10
    sheet = np.empty((_SIDE * (height + line) - line, _SIDE * (width + line) - line, 3))
    sheet[:] = to_rgb(tint(_LINE_COLOUR))
    for number, picture in enumerate(pictures):
        top, left = number // _SIDE * (height + line), number % _SIDE * (width + line)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def _in_colour(patch: Array) -> Array:
    picture = as_picture(patch)
    return picture if picture.ndim == 3 else np.repeat(1 - as_unit(picture)[..., np.newaxis], 3, axis=2)
