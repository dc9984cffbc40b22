"""Take the first samples of a set of images, or expand it by shifted, turned and noisy copies.

M. Nielsen made 250,000 images of 50,000 MNIST images with four one-pixel shifts (expand_mnist.py in Neural
Networks and Deep Learning, 2015, http://neuralnetworksanddeeplearning.com). The SciNet lectures time 250,000
images without saying how they were made. Must not import the readers of data sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.extras import optional_module

if TYPE_CHECKING:
    from hpcnn.util.types import Array

# (rows, columns) each image moves: up, down, left, right.
SHIFTS = ((-1, 0), (1, 0), (0, -1), (0, 1))
MAX_DEGREES = 10.0
# Standard deviation of the noise, as a share of the largest value of the set.
NOISE = 0.02


def take(x: Array, y: Array, samples: int, seed: int) -> tuple[Array, Array]:
    """Return ``samples`` images and their labels: the first ones, or all of them followed by changed copies.

    ``x``: (N, H, W, C) of any number type, which is kept; ``y``: (N, ...). Up to N samples are the first of the
    set (a view). Then each further N are all images once more, in order: four times shifted by one pixel with
    zeros moving in (up, down, left, right; 5 N samples so far), and from then on turned by up to 10 degrees
    either way with 2 % of noise, drawn afresh each time from ``seed``. The first k samples are the same
    whatever ``samples`` is.

    Raises UsageError for fewer than 1 sample, for data other than images that would have to be expanded, and for data
    that do not fit in memory.
    """
    if samples < 1:
        raise bad_value("--samples", samples, "a whole number from 1 on")
    count = len(x)
    if samples <= count:
        return x[:samples], y[:samples]
    if x.ndim != 4:
        raise UsageError(
            f"--samples: {samples} is more than the {count} there are, and samples of shape {x.shape[1:]} "
            f"cannot be expanded: only images (H, W, C) can; expected 1 to {count}."
        )
    expanded = _allocate(samples, x)
    for start in range(0, samples, count):
        target = expanded[start : start + count]
        _fill(target, x, start // count, seed)
    return expanded, np.resize(y, (samples, *y.shape[1:]))


def _allocate(samples: int, x: Array) -> Array:
    try:
        return np.empty((samples, *x.shape[1:]), x.dtype)
    except (MemoryError, ValueError) as error:
        gib = samples * x[0].nbytes / 2**30
        raise UsageError(f"--samples: {samples} samples need {gib:.0f} GiB of memory, more than there is.") from error


def _fill(target: Array, x: Array, copy: int, seed: int) -> None:
    """Write copy number ``copy`` of the first len(target) images of ``x`` into ``target``; 0 is the original."""
    source = x[: len(target)]
    if copy == 0:
        target[...] = source
    elif copy <= len(SHIFTS):
        _shift(target, source, *SHIFTS[copy - 1])
    else:
        _turn(target, source, x, np.random.default_rng((seed, copy)))


def _shift(target: Array, source: Array, rows: int, columns: int) -> None:
    """Shift images by some rows and columns; zeros move in."""
    height, width = source.shape[1:3]
    target[...] = 0
    target[:, max(rows, 0) : height + min(rows, 0), max(columns, 0) : width + min(columns, 0)] = source[
        :, max(-rows, 0) : height + min(-rows, 0), max(-columns, 0) : width + min(-columns, 0)
    ]


def _turn(target: Array, source: Array, whole: Array, random: np.random.Generator) -> None:
    """Turn each image about its centre and add noise; values stay in the range of the whole set."""
    ndimage = optional_module("scipy.ndimage", "expanding a data set beyond five times its size")
    low, high = float(whole.min()), float(whole.max())
    whole_numbers = target.dtype.kind in "ui"
    # One image at a time, so that its draws do not depend on how many images follow.
    for index, image in enumerate(source):
        angle = random.uniform(-MAX_DEGREES, MAX_DEGREES)
        noise = random.standard_normal(image.shape, dtype=np.float32) * (NOISE * high)
        turned = ndimage.rotate(image.astype(np.float32), angle, reshape=False, order=1)
        changed = np.clip(turned + noise, low, high)
        target[index] = np.rint(changed) if whole_numbers else changed
