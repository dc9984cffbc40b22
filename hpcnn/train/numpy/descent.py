"""Gradient descent as the lecture does it: a step, a look at all samples, the best weights kept.

Must not know files, clocks or options.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hpcnn.models.numpy.costs import Array
from hpcnn.models.numpy.networks import Network, Pass, Weights
from hpcnn.train.plan import blocks, epoch_order


@dataclass(frozen=True)
class Score:
    """Cost without penalty, divided by the number of samples; share of samples whose class is right."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Best:
    """The weights with the best training accuracy so far, the first of them, and the epoch that found them."""

    epoch: int
    score: Score
    weights: Weights


class Descent:
    """Trains ``network`` on x (n, d) with labels (n,).

    batch_size: samples of a step; n, as in the lecture, or fewer in an order that ``seed`` and the epoch fix. The
    gradient is a sum over them, so that the learning rate belongs to their number.
    """

    def __init__(
        self, network: Network, x: Array, labels: Array, *, learning_rate: float, batch_size: int, seed: int
    ) -> None:
        self.network = network
        self._x, self._labels = x, labels
        self._learning_rate, self._batch_size, self._seed = learning_rate, batch_size, seed
        self.samples = len(x)
        self._passed = network.forward(x)
        self.best = Best(0, score(network, self._passed, labels), network.weights)

    def epoch(self, number: int, done: Callable[[int], None]) -> Score:
        """Go once over all samples; return how the network then does on them, and remember it if it is the best.

        done: is told after each step how many of the epoch's are done.
        """
        if self._batch_size >= self.samples:
            self._step(self._x, self._labels, self._passed)
            done(1)
        else:
            order = blocks(epoch_order(self.samples, self._seed, number), self._batch_size, 1, (0,))
            for step, chosen in enumerate((chosen for block in order for chosen in block.indices[0]), start=1):
                x = self._x[chosen]
                self._step(x, self._labels[chosen], self.network.forward(x))
                done(step)
        self._passed = self.network.forward(self._x)
        found = score(self.network, self._passed, self._labels)
        if found.accuracy > self.best.score.accuracy:
            self.best = Best(number, found, self.network.weights)
        return found

    def go_on(self, weights: Weights, best: Best) -> None:
        """Continue with the weights and the best of an earlier attempt."""
        self.network.weights, self.best = weights, best
        self._passed = self.network.forward(self._x)

    def _step(self, x: Array, labels: Array, passed: Pass) -> None:
        self.network.descend(self.network.gradients(x, labels, passed), self._learning_rate)


def score(network: Network, passed: Pass, labels: Array) -> Score:
    """Return how a forward pass compares with the labels (n,) of its samples."""
    loss = network.cost.value(passed.z, network.targets(labels)) / len(labels)
    return Score(loss, float((network.classes(passed) == labels).mean()))
