"""The feature maps of one image: the outputs of the convolutions and pools of a network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcnn.figures.networks.maps import map_layers, one_layer, outputs
from hpcnn.figures.networks.samples import GREY_MAP, as_picture, check_images, without_ticks
from hpcnn.figures.style import SMALL_TEXT, figure_with_title, styled
from hpcnn.figures.thinned import thinned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpcnn.train.trained import Trained
    from hpcnn.util.types import Array, Layer

_COLUMNS = 8
_MOST_LAYERS = 6
# The layers in between (dropout, activation, normalization) show much the same again.
_SHOWN = ("Conv", "Pool", "Add", "Concatenate")


@styled
def draw(trained: Trained, image: Array, name: str, *, layer: str | None = None) -> Figure:
    """Return the maps that one ``image`` (in the data's form) makes: the first 8 of some layers, or all of one.

    name: of the image, for the title. Without ``layer``: convolutions and pools, at most 6 evenly spread.
    """
    check_images(trained.data)
    layers = [one_layer(trained, layer)] if layer else _chosen(list(map_layers(trained).values()))
    stacks = [maps[0] for maps in outputs(trained, layers, image[np.newaxis])]
    probabilities = trained.probabilities(image[np.newaxis])[0]
    label = int(probabilities.argmax())
    per_layer = [stack.shape[2] if layer else min(stack.shape[2], _COLUMNS) for stack in stacks]
    rows_of = [math.ceil(count / _COLUMNS) for count in per_layer]
    rows = sum(rows_of)
    figure = figure_with_title(
        _COLUMNS * 0.9 + 3.2,
        max(rows * 0.95, 2.5) + 1.1,
        f"{trained.what}: {name}, labelled {label} with probability {probabilities[label]:.1%}",
        "Each layer's maps from white, its smallest value, to black, its largest.",
    )
    parts: Any = figure.subfigures(1, 2, width_ratios=[1.6, _COLUMNS * 0.9 + 1.6])
    left, right = parts
    axes = without_ticks(left.add_subplot())
    axes.imshow(as_picture(image), cmap=GREY_MAP)
    axes.set_title("input")
    panels = right.subplots(rows, _COLUMNS, squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    top = 0
    for number, (stack, shown) in enumerate(zip(stacks, per_layer, strict=True)):
        low, high = float(stack.min()), float(stack.max())
        for place in range(shown):
            axes = panels[top + place // _COLUMNS, place % _COLUMNS]
            axes.axis("on")
            without_ticks(axes).imshow(stack[..., place], cmap="Greys", vmin=low, vmax=high if high > low else low + 1)
        size = "x".join(map(str, stack.shape))
        of = "" if shown == stack.shape[2] else f"\n{shown} of {stack.shape[2]} maps"
        panels[top, 0].set_ylabel(
            f"{layers[number].name}\n{size}{of}", rotation=0, ha="right", va="center", fontsize=SMALL_TEXT, labelpad=6
        )
        top += rows_of[number]
    return figure


def _chosen(layers: list[Layer]) -> list[Layer]:
    """Return at most so many of the convolutions and pools, the first and the last among them."""
    shown = [layer for layer in layers if any(word in type(layer).__name__ for word in _SHOWN)] or layers
    return thinned(shown, _MOST_LAYERS)
