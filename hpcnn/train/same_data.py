"""Checks that all ranks have read the same data: each reads it by itself, and the plan names samples by number.

A user's function that divides its samples by chance without a seed, or takes files in the order in which a file system
lists them, gives each rank another set. Gradients are summed all the same, and no curve tells.
"""

from __future__ import annotations

import zlib

import numpy as np

from hpcnn.data.dataset import DataSet
from hpcnn.data.stream.given import has_numbers
from hpcnn.data.stream.source import Indices, Source
from hpcnn.data.stream.streamed import StreamedSet, examples, source_of
from hpcnn.data.structure import leaves
from hpcnn.parallel.base import Strategy
from hpcnn.train.agreement import check_same
from hpcnn.util.types import Array

# Samples of each part that are compared: in memory, and of what has to be read. Of a set in another order each differs.
_IN_MEMORY, _READ = 1_000, 4


def check_same_data(data: DataSet, strategy: Strategy) -> None:
    """Raise UsageError on all ranks unless they have as many samples, and the same ones; all ranks must call it.

    Of a large set some samples are compared.
    """
    alone = strategy.processes == 1 or not strategy.communicates
    if alone and has_numbers(data):
        return
    found = fingerprint(data)  # alone too: a dataset that shuffles by itself has begun as often on any number of ranks
    if not alone:
        check_same(strategy, {"samples": f"{data.samples:,} + {data.test_samples:,}", "data": found})


def fingerprint(data: DataSet) -> int:
    """Return a CRC-32 of some training and test samples from everywhere in a set, with their labels and weights."""
    found = zlib.crc32(repr(data.classes).encode())
    if isinstance(data, StreamedSet):
        for column in (data.x_train, data.x_test):
            source = source_of(column)
            for values in source.read(_some(source)):
                found = _added(found, values)
        return found
    for part, weights in (("train", data.train_weights), ("test", data.test_weights)):
        for array in (*leaves(getattr(data, f"x_{part}")), *leaves(getattr(data, f"y_{part}"))):
            found = _added(found, array[_places(len(array), _IN_MEMORY)])
        if weights is not None:
            found = _added(found, weights[_places(len(weights), _IN_MEMORY)])
    return found


def _some(source: Source) -> Indices:
    return examples(source, _READ) if source.sequential else _places(len(source), _READ)


def _places(count: int, wanted: int) -> Indices:
    return np.arange(count) if count <= wanted else np.linspace(0, count - 1, wanted).astype(np.int64)


def _added(found: int, array: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
