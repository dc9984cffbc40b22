"""Decode the pictures of a slice by TensorFlow's own threads, in one call and without Python between the pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from hpcnn.util.types import Array

Decode = Callable[[Any], Any]


class Decoder:
    """Decodes files into one array, uint8 (files, height, width, channels).

    shape: of one picture. one: *graph*: returns a picture of any size from the content of a file. method: how
    ``tf.image.resize`` scales those of another size; None for an error.

    The parts of a tf.data pipeline are called one by one. A ``tf.function`` would run on the threads of a training's
    steps, which may all be waiting for this slice; what tf.data maps runs on threads of its own.
    """

    def __init__(self, shape: tuple[int, ...], one: Decode, method: str | None) -> None:
        import tensorflow as tf

        def decoded(file: Any) -> Any:
            picture = one(tf.io.read_file(file))
            if method is not None:
                right = tf.reduce_all(tf.shape(picture)[:2] == shape[:2])
                picture = tf.cond(right, lambda: picture, lambda: scaled(picture, (shape[0], shape[1]), method or ""))
            return tf.ensure_shape(picture, shape)

        self._shape = shape
        self._decoded = tf.function(decoded).get_concrete_function(tf.TensorSpec((), tf.string))
        self._threads = len(os.sched_getaffinity(0))

    def __call__(self, files: list[bytes]) -> Array:
        """Return the pictures, not to be written to. Raises tf.errors.OpError if any cannot be read."""
        import tensorflow as tf

        if not files:
            return np.empty((0, *self._shape), np.uint8)
        types: dict[str, Any] = {"output_types": [tf.uint8], "output_shapes": [tf.TensorShape((None, *self._shape))]}
        with tf.device("/CPU:0"):
            paths = tf.constant(files)
            names = tf.raw_ops.TensorSliceDataset(components=[paths], output_shapes=[tf.TensorShape(())])
            batches = tf.raw_ops.MapAndBatchDataset(
                input_dataset=names,
                other_arguments=[],
                f=self._decoded,
                batch_size=len(files),
                num_parallel_calls=self._threads,
                drop_remainder=False,
                **types,
            )
            own = tf.raw_ops.PrivateThreadPoolDataset(input_dataset=batches, num_threads=self._threads, **types)
            (pictures,) = tf.raw_ops.DatasetToSingleElement(dataset=own, **types)
        return np.asarray(memoryview(pictures))


def scaled(picture: Any, size: tuple[int, int], method: str) -> Any:
    """Return a picture of another size, uint8. method: ``bilinear``, or ``nearest`` for classes of pixels."""
    import tensorflow as tf

    found = tf.image.resize(picture, size, method=method)
    return found if method == "nearest" else tf.cast(tf.round(found), tf.uint8)
