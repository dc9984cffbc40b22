"""Data that is read a slice at a time, in the place of data on the devices: ``Resident`` for sets that stay on disk.

A step asks for its slice from inside the graph and waits for it there, so that its seconds of input are real waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from hpcnn.data.stream.source import Indices
from hpcnn.data.stream.streamed import Column
from hpcnn.parallel.devices import threads
from hpcnn.train.feed import Form, Resident, fit_shape
from hpcnn.train.plan import Block
from hpcnn.train.reader import Reader
from hpcnn.util.types import Array, Tensor

# Steps whose tables are made at a time.
_STEPS = 64


@dataclass(frozen=True)
class Shaped:
    """Shape and type of features that are not in memory, as of an array of all samples."""

    shape: tuple[int, ...]
    dtype: Any

    def __len__(self) -> int:
        return self.shape[0]


@dataclass(frozen=True)
class Streamed(Resident):
    """A data set on disk, read for all local devices. ``features`` have shape and type alone."""

    reader: Reader = None  # type: ignore[assignment]

    def expect(self, block: Block, first: int) -> None:
        """Let the reader begin with the slices of a block from step ``first`` on."""
        if block.first == 0:
            self.reader.source.rewind()
        self.reader.expect(_slices_of(block, first))

    def failure(self) -> BaseException | None:
        """Return the error with which a slice could not be read, if there is one."""
        return self.reader.failure

    def _slice(self, replica: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        spec, source = self.features[0], self.reader.source
        others = [source.y, *([source.w] if source.w else [])]
        with tf.device("/CPU:0"):
            x, *parts = tf.numpy_function(self.reader.read, [indices], [spec.dtype, *(one.dtype for one in others)])
        x.set_shape((None, *spec.shape[1:]))
        for part, one in zip(parts, others, strict=True):
            part.set_shape((None, *one.shape))
        return x, parts[0], parts[1] if source.w else None


def stream(column: Column, shape: Any, devices: int, form: Form) -> Streamed:
    """Return the features and labels of a set on disk for the local devices, in the shape that a model takes."""
    source = column.source
    example = np.zeros((1, *source.x.shape), source.x.dtype)
    fitted = (len(source), *fit_shape(example, shape).shape[1:])
    change: Callable[[Array], Array] = lambda x: fit_shape(x, shape)  # noqa: E731
    reader = Reader(source, source.threads or threads(), change)
    features = Shaped(fitted, tf.as_dtype(source.x.dtype))
    return Streamed((features,) * devices, (None,) * devices, form, reader=reader)


def _slices_of(block: Block, first: int) -> Iterator[Indices]:
    """Yield the slices of the local replicas, step by step."""
    for start in range(first, block.steps, _STEPS):
        tables = block.part(start, start + _STEPS).indices
        for step in range(len(tables[0])):
            yield from (table[step] for table in tables)
