"""Tensors that one allreduce sums as one: joined before it, and divided after it (buckets.py says which)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hpcnn.parallel.buckets import Size
from hpcnn.util.types import Tensor


def sum_in_buckets(
    tensors: Sequence[Tensor], buckets: Sequence[Sequence[int]], allreduce: Callable[[Tensor, int], Tensor]
) -> list[Tensor]:
    """*graph*: return each tensor's sum. buckets: the tensors' numbers, each once; those of one have one type.

    allreduce: called with what one bucket joins and the number of its first tensor.
    """
    summed: dict[int, Tensor] = {}
    for bucket in buckets:
        own = [tensors[number] for number in bucket]
        summed |= zip(bucket, _divided(allreduce(_joined(own), bucket[0]), own), strict=True)
    return [summed[number] for number in range(len(tensors))]


def size_of(tensor: Tensor) -> Size:
    """Return what decides where a gradient goes."""
    numbers = tensor.shape.num_elements()
    return Size(None if numbers is None else numbers * tensor.dtype.size, tensor.dtype)


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    if len(tensors) == 1:
        return tensors[0]
    import tensorflow as tf

    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)


def _divided(whole: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    if len(tensors) == 1:
        return [whole]
    import tensorflow as tf

    parts = tf.split(whole, [tensor.shape.num_elements() for tensor in tensors])
    return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
