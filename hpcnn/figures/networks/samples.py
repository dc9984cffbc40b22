"""Samples as pictures: which data sets are images, their pixels as matplotlib takes them, axes without ticks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcnn.data.dataset import PIXEL_MAX, DataSet
from hpcnn.figures.style import MUTED
from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hpcnn.util.types import Array

# Dark ink on white paper: it prints.
GREY_MAP = "gray_r"


def are_images(data: DataSet) -> bool:
    """Return whether the samples of a data set are images in grey or colour."""
    shape = data.input_shape
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))


def check_images(data: DataSet) -> None:
    """Raise UsageError for a data set whose samples are no images in grey or colour."""
    if not are_images(data):
        raise UsageError(
            f"data set {data.name!r}: its samples, of shape {data.input_shape}, are no images; expected rows x "
            "columns, or rows x columns x channels with 1 channel (grey) or 3 (red, green, blue)"
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


def without_ticks(axes: Axes) -> Axes:
    """Give axes that show an image a thin frame on all sides and no ticks; return them."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=MUTED, linewidth=0.5)
    return axes
