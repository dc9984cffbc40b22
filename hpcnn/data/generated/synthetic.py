"""Samples by chance, of any shape: what a measurement of speed alone needs.

Few different samples are kept and repeated, so that reading one costs a copy, however many there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hpcnn.data.stream.source import Indices, Source, Spec
from hpcnn.util.types import Array, Json
from hpcnn.zoo import synthetic as words

# What the different samples of a part take at most, and how many there are at most and at least.
_KEPT_BYTES, _MOST, _LEAST = 2**26, 64, 2

_DESCRIPTION = "samples by chance, from which nothing can be learnt: for measuring speed"


class Synthetic(Source):
    """``count`` samples of one shape: bytes 0..255 for images (three axes), else floats of 0 to 1.

    maps: each pixel has a class, and not each sample.
    """

    cheap_labels = True

    def __init__(self, shape: tuple[int, ...], classes: int, count: int, key: tuple[int, int], *, maps: bool) -> None:
        self.x = Spec(shape, np.dtype(np.uint8) if len(shape) == 3 else np.dtype(np.float32))
        self.y = Spec(shape[:2], np.dtype(np.uint8)) if maps else Spec((), np.dtype(np.int64))
        self.classes, self._count = classes, count
        kept = max(min(count, _MOST, _KEPT_BYTES // self.x.bytes), _LEAST)
        numbers = np.random.Generator(np.random.Philox(key=list(key)))
        self._labels: Array = numbers.integers(classes, size=(kept, *self.y.shape)).astype(self.y.dtype)
        self._samples: Array = (
            np.frombuffer(numbers.bytes(kept * math.prod(shape)), np.uint8).reshape(kept, *shape)
            if self.x.dtype == np.uint8
            else numbers.random((kept, *shape), np.float32)
        )

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Indices) -> tuple[Array, Array]:
        """Return samples and labels: those of the kept ones, over and over."""
        return self._samples[np.asarray(indices) % len(self._labels)], self.labels(indices)

    def labels(self, indices: Indices) -> Array:
        """Return the labels alone."""
        labels: Array = self._labels[np.asarray(indices) % len(self._labels)]
        return labels


def sources(
    name: str, arguments: Mapping[str, Json], samples: int | None, test_samples: int | None
) -> tuple[Source, Source, dict[str, Any]]:
    """Return training samples, test samples, and the facts about the set."""
    words.check_name(name, arguments)
    shape, options = words.shape_of(name), words.options_of(arguments)
    counts = (samples or words.TRAINING, test_samples or words.TEST)
    train, test = (
        Synthetic(shape, options["classes"], count, (options["seed"], part), maps=bool(options["maps"]))
        for part, count in enumerate(counts)
    )
    return train, test, {"description": _DESCRIPTION, "source": f"random numbers, seed {options['seed']}"}
