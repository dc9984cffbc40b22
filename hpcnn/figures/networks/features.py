"""What a network makes of one image: the maps of its layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hpcnn.data.dataset import Array
from hpcnn.figures.networks.maps import map_layers, one_layer, outputs
from hpcnn.figures.networks.style import INK, as_picture, blank, check_images, new_figure
from hpcnn.train.trained import Trained

_COLUMNS = 8
_MOST_LAYERS = 6
# The layers in between (dropout, activation, normalization) show much the same again.
_SHOWN = ("Conv", "Pool", "Add", "Concatenate")


def draw(trained: Trained, image: Array, name: str, *, layer: str | None = None) -> Figure:
    """Return the maps that one ``image`` (in the data's form) makes: the first 8 of some layers, or all of one.

    name: what the image is, for the title. Without ``layer``: convolutions and pools, at most 6 evenly spread.
    """
    check_images(trained.data)
    layers = [one_layer(trained, layer)] if layer else _chosen(list(map_layers(trained).values()))
    stacks = [maps[0] for maps in outputs(trained, layers, image[np.newaxis])]
    probabilities = trained.probabilities(image[np.newaxis])[0]
    label = int(probabilities.argmax())
    per_layer = [stack.shape[2] if layer else min(stack.shape[2], _COLUMNS) for stack in stacks]
    rows_of = [math.ceil(count / _COLUMNS) for count in per_layer]
    rows = sum(rows_of)
    figure = new_figure(
        _COLUMNS * 0.9 + 3.2,
        max(rows * 0.95, 2.5) + 1.1,
        f"{trained.what}: {name}, labelled {label} with probability {probabilities[label]:.1%}",
        "Each layer's maps from white, its smallest value, to black, its largest.",
    )
    parts: Any = figure.subfigures(1, 2, width_ratios=[1.6, _COLUMNS * 0.9 + 1.6])
    left, right = parts
    seen = blank(left.add_subplot())
    seen.imshow(as_picture(image), cmap=INK)
    seen.set_title("input", fontsize=9)
    panels = right.subplots(rows, _COLUMNS, squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    top = 0
    for number, (stack, shown) in enumerate(zip(stacks, per_layer, strict=True)):
        low, high = float(stack.min()), float(stack.max())
        for place in range(shown):
            axes = panels[top + place // _COLUMNS, place % _COLUMNS]
            axes.axis("on")
            blank(axes).imshow(stack[..., place], cmap="Greys", vmin=low, vmax=high if high > low else low + 1)
        size = "x".join(map(str, stack.shape))
        of = "" if shown == stack.shape[2] else f"\n{shown} of {stack.shape[2]} maps"
        panels[top, 0].set_ylabel(
            f"{layers[number].name}\n{size}{of}", rotation=0, ha="right", va="center", fontsize=8, labelpad=6
        )
        top += rows_of[number]
    return figure


def _chosen(layers: list[Any]) -> list[Any]:
    """Return at most so many of the layers that are worth a row, the first and the last among them."""
    worth = [layer for layer in layers if any(word in type(layer).__name__ for word in _SHOWN)] or layers
    if len(worth) <= _MOST_LAYERS:
        return worth
    return [worth[round(place)] for place in np.linspace(0, len(worth) - 1, _MOST_LAYERS)]
