"""Read all samples of a source, several slices at a time, in their order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from hpcnn.data.labels import counted
from hpcnn.data.stream.pairs import Pairs
from hpcnn.data.stream.rows import MappedRows
from hpcnn.data.stream.source import Slice, Source
from hpcnn.data.stream.streamed import Column, source_of
from hpcnn.util.types import Array

_SLICE_BYTES = 16 * 2**20


def slice_length(source: Source, sample_bytes: int) -> int:
    """Return how many samples of so many bytes to read at a time: whole chunks, of some megabytes."""
    fitting = max(_SLICE_BYTES // max(sample_bytes, 1), 1)
    return max(fitting // source.chunk, 1) * source.chunk


def threads_of(source: Source) -> int:
    """Return how many threads to read a source with."""
    return source.threads or len(os.sched_getaffinity(0))


def slices(source: Source, first: int = 0, length: int | None = None) -> Iterator[tuple[int, Slice]]:
    """Yield the number of the first sample, and (features, labels), from sample ``first`` on."""
    length = length or slice_length(source, source.x.bytes)
    starts = iter(range(first, len(source), length))
    with ThreadPoolExecutor(threads_of(source)) as pool:
        ahead: deque[tuple[int, Future[Slice]]] = deque()
        for start in starts:
            ahead.append((start, pool.submit(source.read, np.arange(start, min(start + length, len(source))))))
            if len(ahead) > 2 * threads_of(source):
                begin, future = ahead.popleft()
                yield begin, future.result()
        while ahead:
            begin, future = ahead.popleft()
            yield begin, future.result()


def labels_in_slices(source: Source, first: int, last: int) -> Iterator[Array]:
    """Yield the labels of the samples ``first`` to ``last`` (exclusive), some megabytes at a time."""
    length = slice_length(source, source.y.bytes if source.cheap_labels else source.x.bytes)
    for start in range(first, last, length):
        yield source.labels(np.arange(start, min(start + length, last)))


def labels_of(name: str, y: Array | Column) -> Source:
    """Return the labels of a part of a set as a source, whether they are in memory or on disk."""
    return source_of(y) if isinstance(y, Column) else Pairs([(name, MappedRows(y), MappedRows(y))])


def class_counts(source: Source, first: int, last: int, classes: int, ignore: int | None) -> Array:
    """Return how many labels of the samples ``first`` to ``last`` (exclusive) each class has, int64 (classes,)."""
    counts = np.zeros(classes, np.int64)
    for some in labels_in_slices(source, first, last):
        counts += counted(some, classes, ignore)
    return counts


def read_all(source: Source) -> tuple[Array, Array, Array | None]:
    """Return features and labels of every sample, and their weights or None."""
    specs = [source.x, source.y, *([source.w] if source.w else [])]
    whole = [np.empty((len(source), *spec.shape), spec.dtype) for spec in specs]
    for start, parts in slices(source):
        for array, part in zip(whole, parts, strict=True):
            array[start : start + len(part)] = part
    return whole[0], whole[1], whole[2] if source.w else None
