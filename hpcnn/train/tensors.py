"""Small pieces of traced steps: gradients as tensors, their sums, the time, and the variables inside Keras's.

Must not know networks, optimizers or data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.util.types import Tensor


def sum_present(strategy: Strategy, gradients: Sequence[Tensor], name: str = "gradient") -> list[Tensor]:
    """*graph*: sum the gradients over replicas; a variable without one stays without. name: as for ``reduce``."""
    summed = iter(strategy.reduce([g for g in gradients if g is not None], name))
    return [None if g is None else next(summed) for g in gradients]


def dense(gradient: Tensor) -> Tensor:
    """Return an embedding's sparse gradient as a tensor: ranks touch different rows."""
    return tf.convert_to_tensor(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient


def when(tensors: Sequence[Tensor]) -> Tensor:
    """*graph*: return the time at which the tensors are all there, in seconds. A gradient may be None."""
    with tf.control_dependencies([tensor for tensor in tensors if tensor is not None]):
        return tf.timestamp()


def plain(variable: Any) -> Any:
    """Return TensorFlow's variable inside one of Keras's, and one of TensorFlow's as it is."""
    return variable.value if isinstance(variable, keras.Variable) else variable
