"""The diagram of a network: its layers from input to output, their shapes, and the share of the parameters of each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hpcnn.figures.style import FAINT, INK, MAIN, MUTED, PAGE, SMALL_TEXT, figure_with_title, styled, tint
from hpcnn.models.summary import layer_rows, shape_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hpcnn.util.types import Json, KerasModel

# The first word found in a layer's type gives the colour of its box.
_COLOURS = (
    ("Conv", tint("blue")),
    ("Pool", tint("green")),
    ("Dense", tint("orange")),
    ("Embedding", tint("orange")),
    ("Dropout", FAINT),
    ("Normalization", tint("purple")),
)
_OTHER = PAGE

_ROWS_PER_COLUMN = 40
# The smallest share that is written in numbers, in percent.
_SMALLEST = 0.1
_ROW_INCHES, _COLUMN_INCHES = 0.36, 6.2
# In units of a column's width of 100: the box, the shape's right end, the bar of the share.
_BOX, _SHAPE, _BAR, _BAR_WIDTH = (12.0, 38.0), 66.0, 68.0, 16.0


@styled
def draw(model: KerasModel, title: str) -> Figure:
    """Return the diagram of a Keras model; a layer that several layers feed has an arrow from each."""
    rows = layer_rows(model)
    columns = math.ceil(len(rows) / _ROWS_PER_COLUMN)
    height = math.ceil(len(rows) / columns)
    figure = figure_with_title(columns * _COLUMN_INCHES, (height + 1) * _ROW_INCHES + 1.0, title, _total(model))
    axes = figure.add_subplot()
    axes.axis("off")
    axes.set(xlim=(0, 100 * columns), ylim=(height + 0.2, -1.0))
    for column in range(columns):
        _headings(axes, 100 * column)
    for number, row in enumerate(rows):
        _draw_layer(axes, row, 100 * (number // height), number % height)
    for source, target in _edges(model):
        _arrow(axes, rows, source, target, height)
    return figure


def _total(model: KerasModel) -> str:
    trainable = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return f"{model.count_params():,} parameters, {trainable:,} of them trainable"


def _headings(axes: Axes, left: float) -> None:
    style: dict[str, Any] = {"color": MUTED, "va": "center"}
    axes.text(left + _BOX[0], -0.55, "layer", ha="left", **style)
    axes.text(left + _SHAPE, -0.55, "output", ha="right", **style)
    axes.text(left + _BAR, -0.55, "share of the parameters", ha="left", **style)


def _draw_layer(axes: Axes, row: dict[str, Json], left: float, top: float) -> None:
    from matplotlib.patches import FancyBboxPatch, Rectangle

    colour = next((colour for word, colour in _COLOURS if word in row["type"]), _OTHER)
    box = FancyBboxPatch(
        (left + _BOX[0] + 0.5, top + 0.15),
        _BOX[1] - 1,
        0.66,
        boxstyle="round,pad=0,rounding_size=0.15",
        mutation_aspect=0.1,
        facecolor=colour,
        edgecolor=INK,
        linewidth=0.8,
    )
    axes.add_patch(box)
    middle = top + 0.48
    axes.text(left + _BOX[0] + _BOX[1] / 2, middle, _name(row), ha="center", va="center")
    shape = "?" if row["output_shape"] is None else shape_text(row["output_shape"])
    axes.text(left + _SHAPE, middle, shape.replace("x", " × "), ha="right", va="center")
    if row["parameters"]:
        width = _BAR_WIDTH * row["share_percent"] / 100
        axes.add_patch(Rectangle((left + _BAR, top + 0.25), width, 0.46, facecolor=MAIN))
        share = f"{row['share_percent']:.1f} %" if row["share_percent"] >= _SMALLEST else f"< {_SMALLEST} %"
        text = f"{share}  ({row['parameters']:,})"
        axes.text(left + _BAR + width + 0.8, middle, text, ha="left", va="center", fontsize=SMALL_TEXT)


def _name(row: dict[str, Json]) -> str:
    """Return a layer's name, with its type where the name does not contain it, as Keras's own names do."""
    says_it = str(row["name"]).replace("_", "").startswith(str(row["type"]).lower())
    return str(row["name"]) if says_it else f"{row['name']} ({row['type']})"


def _edges(model: KerasModel) -> list[tuple[int, int]]:
    """Return (number of the layer that feeds, number of the layer fed); one after the other where no graph is known."""
    numbers = {id(layer): number for number, layer in enumerate(model.layers)}
    found: set[tuple[int, int]] = set()
    for number, layer in enumerate(model.layers):
        for node in getattr(layer, "_inbound_nodes", []):
            parents = (tensor._keras_history.operation for tensor in node.input_tensors)
            found |= {(numbers[id(parent)], number) for parent in parents if id(parent) in numbers}
    return sorted(found) or [(number, number + 1) for number in range(len(model.layers) - 1)]


def _arrow(axes: Axes, rows: list[dict[str, Json]], source: int, target: int, height: int) -> None:
    """Draw an arrow down to the next box, or beside the boxes that it skips; from another column, in words."""
    from matplotlib.patches import FancyArrowPatch

    (left, top), (to_left, to_top) = ((100 * (n // height), n % height) for n in (source, target))
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    middle, edge = left + _BOX[0] + _BOX[1] / 2, left + _BOX[0] + 0.5
    if left != to_left and target == source + 1:
        return  # the next column goes on where this one ends
    if left != to_left:
        name = f"from {rows[source]['name']}"
        axes.text(to_left + _BOX[0] - 0.5, to_top + 0.22, name, ha="right", va="center", fontsize=7, color=MUTED)
    elif target == source + 1:
        axes.add_patch(FancyArrowPatch((middle, top + 0.81), (middle, to_top + 0.15), color=INK, **style))
    else:
        out = edge - min(2.0 + 1.5 * (target - source - 1), 10.0)
        axes.plot([edge, out, out], [top + 0.48, top + 0.48, to_top + 0.48], color=INK, linewidth=0.8)
        axes.add_patch(FancyArrowPatch((out, to_top + 0.48), (edge, to_top + 0.48), color=INK, **style))
