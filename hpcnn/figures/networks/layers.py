"""A network as a diagram: its layers from input to output, their shapes, and each one's share of the parameters."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from hpcnn.figures.networks.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, new_figure
from hpcnn.models.summary import layer_rows, shape_text

# the first word found in a layer's type gives the colour of its box
_COLOURS = (
    ("Conv", SKY),
    ("Pool", GREEN),
    ("Dense", ORANGE),
    ("Embedding", ORANGE),
    ("Dropout", "#DDDDDD"),
    ("Normalization", PURPLE),
)
_OTHER = "#F5F5F5"

_ROWS_PER_COLUMN = 40
# The smallest share that is written in numbers, in percent.
_SMALLEST = 0.1
_ROW_INCHES, _COLUMN_INCHES = 0.36, 6.2
# In units of a column's width of 100: the box, the shape's right end, the bar of the share.
_BOX, _SHAPE, _BAR, _BAR_WIDTH = (12.0, 38.0), 66.0, 68.0, 16.0


def draw(model: Any, title: str) -> Figure:
    """Return the diagram of a Keras model; a layer that several layers feed has an arrow from each."""
    rows = layer_rows(model)
    columns = math.ceil(len(rows) / _ROWS_PER_COLUMN)
    height = math.ceil(len(rows) / columns)
    figure = new_figure(columns * _COLUMN_INCHES, (height + 1) * _ROW_INCHES + 1.0, title, _total(model))
    axes = figure.add_subplot()
    axes.axis("off")
    axes.set(xlim=(0, 100 * columns), ylim=(height + 0.2, -1.0))
    for column in range(columns):
        _headings(axes, 100 * column)
    for number, row in enumerate(rows):
        _one_row(axes, row, 100 * (number // height), number % height)
    for source, target in _edges(model):
        _arrow(axes, rows, source, target, height)
    return figure


def _total(model: Any) -> str:
    trainable = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return f"{model.count_params():,} parameters, {trainable:,} of them trainable"


def _headings(axes: Any, left: float) -> None:
    style: dict[str, Any] = {"fontsize": 9, "color": GREY, "va": "center"}
    axes.text(left + _BOX[0], -0.55, "layer", ha="left", **style)
    axes.text(left + _SHAPE, -0.55, "output", ha="right", **style)
    axes.text(left + _BAR, -0.55, "share of the parameters", ha="left", **style)


def _one_row(axes: Any, row: dict[str, Any], left: float, top: float) -> None:
    colour = next((colour for word, colour in _COLOURS if word in row["type"]), _OTHER)
    box = FancyBboxPatch(
        (left + _BOX[0] + 0.5, top + 0.15),
        _BOX[1] - 1,
        0.66,
        boxstyle="round,pad=0,rounding_size=0.15",
        mutation_aspect=0.1,
        facecolor=colour,
        edgecolor=BLACK,
        linewidth=0.8,
    )
    axes.add_patch(box)
    middle = top + 0.48
    axes.text(left + _BOX[0] + _BOX[1] / 2, middle, _name(row), ha="center", va="center", fontsize=9)
    shape = "?" if row["output_shape"] is None else shape_text(row["output_shape"])
    axes.text(left + _SHAPE, middle, shape.replace("x", " × "), ha="right", va="center", fontsize=9)
    if row["parameters"]:
        width = _BAR_WIDTH * row["share_percent"] / 100
        axes.add_patch(Rectangle((left + _BAR, top + 0.25), width, 0.46, facecolor=BLUE))
        share = f"{row['share_percent']:.1f} %" if row["share_percent"] >= _SMALLEST else f"< {_SMALLEST} %"
        text = f"{share}  ({row['parameters']:,})"
        axes.text(left + _BAR + width + 0.8, middle, text, ha="left", va="center", fontsize=8)


def _name(row: dict[str, Any]) -> str:
    """Return a layer's name, and its type where the name does not say it, as Keras's own names do."""
    says_it = str(row["name"]).replace("_", "").startswith(str(row["type"]).lower())
    return str(row["name"]) if says_it else f"{row['name']} ({row['type']})"


def _edges(model: Any) -> list[tuple[int, int]]:
    """Return (number of the layer that feeds, number of the layer fed); one after the other where no graph is known."""
    numbers = {id(layer): number for number, layer in enumerate(model.layers)}
    found: set[tuple[int, int]] = set()
    for number, layer in enumerate(model.layers):
        for node in getattr(layer, "_inbound_nodes", []):
            parents = (tensor._keras_history.operation for tensor in node.input_tensors)
            found |= {(numbers[id(parent)], number) for parent in parents if id(parent) in numbers}
    return sorted(found) or [(number, number + 1) for number in range(len(model.layers) - 1)]


def _arrow(axes: Any, rows: list[dict[str, Any]], source: int, target: int, height: int) -> None:
    """Draw an arrow down to the next box, or beside the boxes that it skips; from another column, in words."""
    (left, top), (to_left, to_top) = ((100 * (n // height), n % height) for n in (source, target))
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    middle, edge = left + _BOX[0] + _BOX[1] / 2, left + _BOX[0] + 0.5
    if left != to_left and target == source + 1:
        return  # the next column goes on where this one ends
    if left != to_left:
        name = f"from {rows[source]['name']}"
        axes.text(to_left + _BOX[0] - 0.5, to_top + 0.22, name, ha="right", va="center", fontsize=7, color=GREY)
    elif target == source + 1:
        axes.add_patch(FancyArrowPatch((middle, top + 0.81), (middle, to_top + 0.15), color=BLACK, **style))
    else:
        out = edge - min(2.0 + 1.5 * (target - source - 1), 10.0)
        axes.plot([edge, out, out], [top + 0.48, top + 0.48, to_top + 0.48], color=BLACK, linewidth=0.8)
        axes.add_patch(FancyArrowPatch((out, to_top + 0.48), (edge, to_top + 0.48), color=BLACK, **style))
