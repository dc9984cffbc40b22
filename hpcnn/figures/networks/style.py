"""What all pictures share: colours, titles, how samples become pictures, and how a figure becomes a file.

Colours are those that people with any colour vision tell apart (M. Okabe and K. Ito, Color Universal Design, 2008),
and never alone: shape or text says the same, for a print in grey.
"""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from hpcnn.data.dataset import PIXEL_MAX, Array, DataSet
from hpcnn.train.trained import Trained
from hpcnn.util.errors import UsageError
from hpcnn.util.files import write_bytes

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#666666"

# Dark ink on white paper: it prints.
INK = "gray_r"

_DPI = 150
_TITLE_POINTS, _SUBTITLE_POINTS = 11, 9
_TITLE_CHARACTERS_PER_INCH = 10.4

# The same figure is the same file, whenever it is made.
_STYLE: Any = {"svg.hashsalt": "hpcnn", "svg.fonttype": "path"}
_UNDATED: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}


def new_figure(width: float, height: float, title: str, subtitle: str = "") -> Figure:
    """Return an empty figure of so many inches below a title, which is folded to its width."""
    figure = Figure(figsize=(width, height), dpi=_DPI)
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    figure.suptitle(_folded(title, int(width * _TITLE_CHARACTERS_PER_INCH)), fontsize=_TITLE_POINTS, fontweight="bold")
    if subtitle:
        small = int(width * _TITLE_CHARACTERS_PER_INCH * _TITLE_POINTS / _SUBTITLE_POINTS)
        figure.supxlabel(_folded(subtitle, small), fontsize=_SUBTITLE_POINTS, color=GREY)
    return figure


def _folded(text: str, width: int) -> str:
    """Return a text in as few lines of at most ``width`` characters as it needs, of about the same length."""
    count = len(textwrap.wrap(text, width))
    tries = (textwrap.wrap(text, narrower) for narrower in range(len(text) // max(count, 1), width + 1))
    return "\n".join(next((lines for lines in tries if len(lines) == count), textwrap.wrap(text, width)))


def title_of(trained: Trained) -> str:
    """Return run, model, data, epoch, and the test accuracy that the run recorded."""
    accuracy = trained.recorded_accuracy
    return trained.what if accuracy is None else f"{trained.what}: test accuracy {accuracy:.2%}"


def save(figure: Figure, file: Path) -> None:
    """Write a figure whole, in the format of the file's suffix. UsageError where it cannot be written."""
    kind = file.suffix[1:].lower()
    content = io.BytesIO()
    with rc_context(_STYLE):
        figure.savefig(content, format=kind, metadata=_UNDATED[kind])
    try:
        write_bytes(file, content.getvalue())
    except OSError as error:
        raise UsageError(f"{str(file)!r} cannot be written: {error.strerror}") from error


def check_images(data: DataSet) -> None:
    """Raise UsageError for a data set whose samples are no images in grey or colour."""
    shape = data.input_shape
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))):
        raise UsageError(
            f"data set {data.name!r}: its samples, of shape {shape}, are no images; expected rows x columns, or "
            "rows x columns x channels with 1 channel (grey) or 3 (red, green, blue)"
        )


def as_picture(sample: Array) -> Array:
    """Return one image as matplotlib takes it: (rows, columns) if grey, else (rows, columns, 3) in 0..1."""
    if sample.ndim == 2 or sample.shape[2] == 1:
        return sample.reshape(sample.shape[:2])
    return as_unit(sample)


def as_unit(values: Array) -> Array:
    """Return pixels in 0..1: bytes divided by 255; a user's own floats as they are, or stretched if they go beyond."""
    if values.dtype == np.uint8:
        return values / PIXEL_MAX
    return values if values.min() >= 0 and values.max() <= 1 else to_unit(values)


def to_unit(values: Array) -> Array:
    """Return values moved and stretched to 0..1; all the same value becomes 0.5."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.full(values.shape, 0.5)


def blank(axes: Any) -> Any:
    """Take the ticks from axes that show an image, and keep a thin frame."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=GREY, linewidth=0.5)
    return axes
