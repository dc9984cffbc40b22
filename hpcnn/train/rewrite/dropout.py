"""Dropout's masks from 8 or 16 random bits a value instead of 32. Must not know ranks."""

from __future__ import annotations

from contextlib import ExitStack

import keras
import tensorflow as tf

from hpcnn.train.rewrite.change import change, is_altered
from hpcnn.util.types import Layer, Tensor


def can_drop_by_few_bits(layer: Layer) -> bool:
    """Return whether a layer is Keras's own dropout of single values."""
    own = type(layer) is keras.layers.Dropout and not is_altered(layer)
    return own and layer.rate > 0 and layer.noise_shape is None


def drop_by_few_bits(changes: ExitStack, layer: Layer) -> None:
    """Draw 8 random bits a value (16 where the rate is no multiple of 1/256) instead of 32.

    Drawing takes longer than anything else of dropout. Masks differ from Keras's, their distribution does not: a rate
    of sixteen bits is off by at most 1/131072.
    """
    bits = 8 if float(layer.rate * 256).is_integer() else 16
    dtype = tf.uint8 if bits == 8 else tf.uint16
    dropped = min(max(round(layer.rate * 2**bits), 1), 2**bits - 1)

    def drop(inputs: Tensor, training: bool = False) -> Tensor:
        if not training:
            return inputs
        count, a_word = tf.size(inputs), 32 // bits
        words = tf.random.stateless_uniform(
            [(count + a_word - 1) // a_word], layer.seed_generator.next(), None, None, tf.uint32
        )
        drawn = tf.reshape(tf.bitcast(words, dtype), [-1])[:count]
        kept = tf.reshape(drawn >= tf.constant(dropped, dtype), tf.shape(inputs))
        return inputs * (tf.cast(kept, inputs.dtype) * tf.constant(1 / (1 - layer.rate), inputs.dtype))

    change(changes, layer, "call", drop)
