"""Networks in NumPy, one neuron and one hidden layer: forward pass, cost and gradients over all samples at once.

Source: SciNet, E. Spence, 2017. n samples of d features are x (n, d); labels (n,) are class numbers. A network holds
its weights by the lecture's names in one dictionary. Must not import trainings.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hpcnn.models.numpy.costs import COSTS, Cost, sigmoid
from hpcnn.util.types import Array

Weights = dict[str, Array]


@dataclass(frozen=True)
class Pass:
    """A forward pass: z and a = sigmoid(z) of the output, (n,) or (m, n); a of the hidden layer, (k, n)."""

    z: Array
    a: Array
    hidden: Array | None = None


class Network(ABC):
    """Weights, the cost function, and the strength l2 of the penalty l2 / 2 * sum(w ** 2)."""

    layers: ClassVar[dict[str, tuple[str, ...]]]
    """Name of each layer -> names of its weights. Names with b are biases, which are never penalized."""

    def __init__(self, weights: Weights, cost: Cost, l2: float) -> None:
        self.weights, self.cost, self.l2 = weights, cost, l2

    @abstractmethod
    def forward(self, x: Array) -> Pass:
        """Return the forward pass of all samples x (n, d)."""

    @abstractmethod
    def targets(self, labels: Array) -> Array:
        """Return the target outputs for labels (n,), in the shape of the outputs."""

    @abstractmethod
    def classes(self, passed: Pass) -> Array:
        """Return the predicted class numbers (n,) of a forward pass."""

    @abstractmethod
    def backward(self, x: Array, labels: Array, passed: Pass) -> Weights:
        """Return the gradient of the cost without its penalty by every weight, in the shapes of the weights."""

    def penalty(self) -> float:
        """Return l2 / 2 * sum(w ** 2), without the biases."""
        return 0.5 * self.l2 * sum(float(np.sum(w**2)) for name, w in self.weights.items() if name[0] == "w")

    def total_cost(self, x: Array, labels: Array) -> float:
        """Return the cost of samples x with their labels, plus the penalty."""
        return self.cost.value(self.forward(x).z, self.targets(labels)) + self.penalty()

    def gradients(self, x: Array, labels: Array, passed: Pass) -> Weights:
        """Return the gradient of ``total_cost`` by every weight; ``passed``: the forward pass of x."""
        found = self.backward(x, labels, passed)
        return {name: g + self.l2 * self.weights[name] if name[0] == "w" else g for name, g in found.items()}

    def descend(self, gradients: Weights, learning_rate: float) -> None:
        """Take one step of gradient descent. Creates new arrays: copies of the dictionary do not change."""
        self.weights = {name: w - learning_rate * gradients[name] for name, w in self.weights.items()}

    def astype(self, dtype: type[np.floating]) -> Network:
        """Change the precision of the weights, and return the network."""
        self.weights = {name: w.astype(dtype) for name, w in self.weights.items()}
        return self

    @property
    def parameters(self) -> int:
        """Return the number of weights and biases."""
        return sum(w.size for w in self.weights.values())


class Neuron(Network):
    """One sigmoid neuron that tells two classes apart: a = sigmoid(x w + b), with w (d,) and b (1,)."""

    layers: ClassVar = {"output": ("w", "b")}

    def forward(self, x: Array) -> Pass:
        """Return z and a, (n,)."""
        z = x @ self.weights["w"] + self.weights["b"]
        return Pass(z, sigmoid(z))

    def targets(self, labels: Array) -> Array:
        """Return the labels, 0 or 1, as numbers of the weights' precision."""
        return labels.astype(self.weights["w"].dtype)

    def classes(self, passed: Pass) -> Array:
        """Return a, rounded to 0 or 1."""
        rounded: Array = np.round(passed.a).astype(np.int64)
        return rounded

    def backward(self, x: Array, labels: Array, passed: Pass) -> Weights:
        """Return dC/dw = delta x and dC/db = sum(delta), with delta = dC/dz (n,)."""
        delta = self.cost.delta(passed.a, self.targets(labels))
        return {"w": delta @ x, "b": delta.sum(keepdims=True)}


class Hidden(Network):
    """One hidden layer of k sigmoid neurons, and one sigmoid output for each of m classes.

    a1 = sigmoid(w1 x^T + b1), a2 = sigmoid(w2 a1 + b2); w1 (k, d), b1 (k, 1), w2 (m, k), b2 (m, 1).
    """

    layers: ClassVar = {"hidden": ("w1", "b1"), "output": ("w2", "b2")}

    def forward(self, x: Array) -> Pass:
        """Return z2 and a2 (m, n), and a1 (k, n)."""
        a1 = sigmoid(self.weights["w1"] @ x.T + self.weights["b1"])
        z2 = self.weights["w2"] @ a1 + self.weights["b2"]
        return Pass(z2, sigmoid(z2), a1)

    def targets(self, labels: Array) -> Array:
        """Return one-hot columns (m, n)."""
        wanted: Array = np.eye(len(self.weights["b2"]), dtype=self.weights["b2"].dtype)[:, labels]
        return wanted

    def classes(self, passed: Pass) -> Array:
        """Return the index of the largest output."""
        largest: Array = passed.a.argmax(axis=0)
        return largest

    def backward(self, x: Array, labels: Array, passed: Pass) -> Weights:
        """Return the four gradients: delta1 = (w2^T delta2) * a1 (1 - a1), dC/dw = delta a^T, dC/db = sum(delta)."""
        a1 = passed.hidden
        assert a1 is not None
        delta2 = self.cost.delta(passed.a, self.targets(labels))
        delta1 = (self.weights["w2"].T @ delta2) * a1 * (1.0 - a1)
        return {
            "w1": delta1 @ x,
            "b1": delta1.sum(axis=1, keepdims=True),
            "w2": delta2 @ a1.T,
            "b2": delta2.sum(axis=1, keepdims=True),
        }


def neuron(input_shape: tuple[int, ...], classes: int, *, loss: str, seed: int = 1, l2: float = 0.0) -> Neuron:
    """Return the lecture's first network, weights and bias uniform in [0, 1).

    Raises ValueError for other than two classes, or a negative l2.
    """
    if classes != 2:
        raise ValueError(f"one output tells 2 classes apart, not {classes}")
    # RandomState: a fixed stream (NEP 19)
    random = np.random.RandomState(seed)
    return Neuron({"w": random.rand(math.prod(input_shape)), "b": random.rand(1)}, COSTS[loss], _strength(l2))


def hidden(
    input_shape: tuple[int, ...], classes: int, *, loss: str, seed: int = 1, numnodes: int = 10, l2: float = 0.0
) -> Hidden:
    """Return the lecture's second network, weights standard normal, biases zero.

    Raises ValueError for less than one node, or a negative l2.
    """
    if isinstance(numnodes, bool) or not isinstance(numnodes, int) or numnodes < 1:
        raise ValueError(f"numnodes must be a whole number from 1 on, not {numnodes!r}")
    random = np.random.RandomState(seed)
    weights = {
        "w1": random.randn(numnodes, math.prod(input_shape)),
        "b1": np.zeros((numnodes, 1)),
        "w2": random.randn(classes, numnodes),
        "b2": np.zeros((classes, 1)),
    }
    return Hidden(weights, COSTS[loss], _strength(l2))


def _strength(l2: float) -> float:
    if isinstance(l2, bool) or not isinstance(l2, (int, float)) or not 0 <= l2 < math.inf:
        raise ValueError(f"l2 must be a number from 0 on, not {l2!r}")
    return float(l2)
