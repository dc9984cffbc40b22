"""The random numbers that change training images: pure arithmetic on NumPy arrays.

What a sample gets follows from (seed, epoch, sample number) alone, through Philox, a counter-based generator: never
from the batch, the rank or the device. So any number of ranks, and a resumed run, train on the same images.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# One uniform number each for every sample and epoch. New ones go to the end: what a seed gives stays what it was.
COLUMNS = (
    *("move_gate", "rotation", "zoom", "down", "right", "mirror_rows", "mirror_columns"),
    *("brightness_gate", "brightness", "contrast_gate", "contrast", "gamma_gate", "gamma"),
    *("colour_gate", "hue", "saturation", "value", "noise_picture", "noise_sign"),
)

# Numbers in a table of noise (8 MiB), and the pictures that it has at least.
_NOISE_NUMBERS, _LEAST_PICTURES = 2**21, 64
# Tell these draws from each other and from the order of the samples, all keyed by (seed, epoch) (``plan.epoch_order``).
_SAMPLES, _NOISE = 1 << 32, 2 << 32


def sample_draws(samples: int, seed: int, epoch: int) -> Floats:
    """Return numbers of [0, 1): a row for each sample, a column for each of COLUMNS."""
    return _generator(_SAMPLES, seed, epoch).random((samples, len(COLUMNS)), np.float32)


def noise_count(shape: tuple[int, ...]) -> int:
    """Return the number of ``noise_pictures`` of this shape."""
    return max(_NOISE_NUMBERS // math.prod(shape), _LEAST_PICTURES)


def noise_pictures(shape: tuple[int, ...], seed: int, epoch: int) -> Floats:
    """Return pictures (N, *shape) of standard normal noise; each sample takes one of them at random.

    A table of noise that all share is that of Salimans et al. (2017), arXiv:1703.03864, section 2.1: a gather is
    cheaper than drawing in each step, and unlike that does not depend on the batch.
    """
    return _generator(_NOISE, seed, epoch).standard_normal((noise_count(shape), *shape), np.float32)


def _generator(purpose: int, seed: int, epoch: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[purpose + seed, epoch]))
