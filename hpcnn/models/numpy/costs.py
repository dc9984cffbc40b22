"""The sigmoid, and the two cost functions of the lecture with their derivatives.

Source: SciNet, E. Spence, 2017. Costs are sums over samples and outputs, not means, as the lecture has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpcnn.util.types import Array as Array


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)) of any shape, computed by tanh, which cannot overflow."""
    result: Array = 0.5 * (1.0 + np.tanh(0.5 * z))
    return result


@dataclass(frozen=True)
class Cost:
    """A cost of sigmoid outputs a = sigmoid(z) against targets of the same shape.

    value(z, target): the cost, summed. delta(a, target): its derivative by z, of the same shape.
    """

    value: Callable[[Array, Array], float]
    delta: Callable[[Array, Array], Array]


def _quadratic(z: Array, target: Array) -> float:
    return float(0.5 * np.sum((sigmoid(z) - target) ** 2))


def _quadratic_delta(a: Array, target: Array) -> Array:
    return (a - target) * a * (1.0 - a)


def _cross_entropy(z: Array, target: Array) -> float:
    # -(t ln a + (1 - t) ln(1 - a)) with a = sigmoid(z), where a rounds to 0 or 1 too
    return float(np.sum(np.logaddexp(0.0, z) - target * z))


def _cross_entropy_delta(a: Array, target: Array) -> Array:
    return a - target


# By the names of Keras and --loss. Keras's are means, these are sums.
COSTS = {
    "mean_squared_error": Cost(_quadratic, _quadratic_delta),
    "binary_crossentropy": Cost(_cross_entropy, _cross_entropy_delta),
}
