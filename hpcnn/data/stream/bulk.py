"""Read all samples of a source, several slices at a time, in their order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from hpcnn.data.stream.source import Source
from hpcnn.util.types import Array

_SLICE_BYTES = 16 * 2**20


def slice_length(source: Source) -> int:
    """Return how many samples to read at a time: whole chunks, of some megabytes."""
    fitting = max(_SLICE_BYTES // max(source.x.bytes, 1), 1)
    return max(fitting // source.chunk, 1) * source.chunk


def threads_of(source: Source) -> int:
    """Return how many threads to read a source with."""
    return source.threads or len(os.sched_getaffinity(0))


def slices(source: Source, first: int = 0, length: int | None = None) -> Iterator[tuple[int, Array, Array]]:
    """Yield (number of the first sample, features, labels) from sample ``first`` on."""
    length = length or slice_length(source)
    starts = iter(range(first, len(source), length))
    with ThreadPoolExecutor(threads_of(source)) as pool:
        ahead: deque[tuple[int, Future[tuple[Array, Array]]]] = deque()
        for start in starts:
            ahead.append((start, pool.submit(source.read, np.arange(start, min(start + length, len(source))))))
            if len(ahead) > 2 * threads_of(source):
                begin, future = ahead.popleft()
                yield begin, *future.result()
        while ahead:
            begin, future = ahead.popleft()
            yield begin, *future.result()


def read_all(source: Source) -> tuple[Array, Array]:
    """Return features and labels of every sample."""
    x = np.empty((len(source), *source.x.shape), source.x.dtype)
    y = np.empty((len(source), *source.y.shape), source.y.dtype)
    for start, features, labels in slices(source):
        x[start : start + len(features)], y[start : start + len(labels)] = features, labels
    return x, y
