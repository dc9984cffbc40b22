"""Operations whose gradient the caller gives, and constants that a graph makes once. Must not know layers or ranks.

Both are for fewer operations in the graph: tracing a deep network takes as long as it has operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from hpcnn.util.types import Tensor

_MADE = "_constants_of_hpcnn"  # an attribute of graphs, which so live no longer for it


def with_gradient(
    compute: Callable[[], Tensor], gradient: Callable[[Tensor], Sequence[Tensor]], inputs: Sequence[Tensor]
) -> Tensor:
    """*graph*: return what ``compute`` makes of the inputs; ``gradient`` makes their gradients from that of the result.

    As ``tf.custom_gradient``, which copies every input and output. TensorFlow has no public name for this; where
    another version has another name, that takes its place. compute must return a tensor that it makes itself.
    """
    try:
        from tensorflow.python.eager.record import record_operation, stop_recording
    except ImportError:
        inner: Tensor = tf.custom_gradient(lambda *_: (compute(), gradient))(*inputs)
        return inner
    with stop_recording():
        result = compute()
    record_operation("hpcnn", [result], list(inputs), lambda upstream: gradient(tf.convert_to_tensor(upstream)))
    return result


def constant(value: Any, dtype: Any) -> Tensor:
    """*graph*: return a constant; the same tensor for the same value in one graph. value: a number, or a tuple."""
    return _once("value", value, dtype, lambda: tf.constant(value, dtype))


def zeros(shape: tuple[int, ...], dtype: Any) -> Tensor:
    """*graph*: return zeros, the same tensor for the same shape in one graph."""
    return _once("zeros", shape, dtype, lambda: tf.zeros(shape, dtype))


def _once(kind: str, value: Any, dtype: Any, make: Callable[[], Tensor]) -> Tensor:
    if tf.executing_eagerly():
        return make()
    graph = tf.compat.v1.get_default_graph()
    made = getattr(graph, _MADE, None)
    if made is None:
        made = {}
        setattr(graph, _MADE, made)
    key = kind, value, tf.as_dtype(dtype).name
    if key not in made:
        with tf.control_dependencies(None):  # or it would wait for what the first to use it waits for
            made[key] = make()
    return made[key]
