"""Sums of maps of one shape, whose gradient needs no computing. Must not know ranks."""

from __future__ import annotations

from contextlib import ExitStack

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.util.types import Layer, Tensor


def can_be_added_at_once(layer: Layer) -> bool:
    """Return whether a layer is Keras's own sum."""
    return type(layer) is keras.layers.Add and not is_altered(layer)


def add_at_once(changes: ExitStack, layer: Layer) -> None:
    """Add maps of one shape by TensorFlow's operation for that: each of them gets the gradient of the sum as it is.

    Keras's sum allows shapes that differ, and so its gradient first finds out, from the shapes of every batch, over
    which axes to add. The numbers are equal bit by bit.
    """
    as_keras_does = layer.call

    def add(inputs: list[Tensor]) -> Tensor:
        shapes = {tuple(part.shape) for part in inputs}
        alike = len(shapes) == len({part.dtype for part in inputs}) == 1 and None not in shapes.pop()[1:]
        return tf.add_n(inputs) if alike else as_keras_does(inputs)

    change(changes, layer, "call", add)
