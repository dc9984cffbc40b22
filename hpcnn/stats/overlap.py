"""How far predicted classes of pixels cover the right ones, from a table of counts (right classes, predicted classes).

Must not import TensorFlow.
"""

from __future__ import annotations

import numpy as np

from hpcnn.util.types import Array


def share_right(table: Array) -> float:
    """Return the share of pixels that got their class."""
    return float(np.trace(table) / max(float(table.sum()), 1.0))


def iou(table: Array) -> Array:
    """Return each class's intersection over union, NaN for one that neither truth nor prediction has."""
    both = np.diag(table)
    union = table.sum(axis=0) + table.sum(axis=1) - both
    return np.where(union > 0, both / np.maximum(union, 1), np.nan)


def dice(table: Array) -> Array:
    """Return each class's Dice coefficient, twice the intersection over the sum of both; NaN as for ``iou``."""
    both, sizes = np.diag(table), table.sum(axis=0) + table.sum(axis=1)
    return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), np.nan)


def mean_of_classes(values: Array) -> float:
    """Return the mean over the classes that there are; 0 where there is none."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else 0.0
