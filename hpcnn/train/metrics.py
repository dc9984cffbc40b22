"""Losses and metrics as sums that steps, replicas and ranks may be added up in, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.train.feed import Resident

Array = npt.NDArray[np.float64]


@dataclass
class Sums:
    """What calls add up, of one process or of all: divide by ``samples`` only at the end.

    loss: sum over samples of the loss. seconds: input, compute, communication of this process.
    state: the metrics' own sums.
    """

    loss: float
    samples: float
    seconds: Array
    state: list[Array]

    def add(self, more: Sums) -> None:
        """Add another call's sums."""
        self.loss += more.loss
        self.samples += more.samples
        self.seconds = self.seconds + more.seconds
        self.state = [a + b for a, b in zip(self.state, more.state, strict=True)]

    def over_processes(self, strategy: Strategy) -> Sums:
        """Return the sums of all processes; ``seconds`` stay this process's own."""
        total = self.filled(strategy.reduce_metrics(self.flat()).tolist())
        return Sums(total.loss, total.samples, self.seconds, total.state)

    def flat(self) -> list[float]:
        """Return all numbers as one list."""
        parts = [np.array([self.loss, self.samples]), self.seconds, *(part.ravel() for part in self.state)]
        return [float(number) for number in np.concatenate(parts)]

    def filled(self, flat: Sequence[float]) -> Sums:
        """Return sums of this shape with the numbers of a ``flat`` list."""
        numbers = np.asarray(flat, dtype=np.float64)
        state, position = [], 2 + self.seconds.size
        for part in self.state:
            state.append(numbers[position : position + part.size].reshape(part.shape))
            position += part.size
        return Sums(float(numbers[0]), float(numbers[1]), numbers[2 : 2 + self.seconds.size], state)


class Metrics:
    """A compiled model's metrics as pure sums, so that steps, replicas and ranks can be added in any order.

    Uses Keras's stateless interface: no variable is written, so it works the same inside every strategy. A metric
    whose state is not a sum (none of Keras's classification metrics) would be wrong here.
    """

    def __init__(self, model: Any, data: Resident) -> None:
        self._metric = model._compile_metrics  # Keras has no public name for "the metrics of compile()"
        if self._metric is None:
            self.shapes, self.dtypes = [], []
            return
        x, y = data.gather(0, tf.constant([0], tf.int32))
        if not self._metric.built:
            self._metric.build(y, model(x, training=False))
        self.shapes = [tuple(v.shape) for v in self._metric.variables]
        self.dtypes = [v.dtype for v in self._metric.variables]

    def of_batch(self, y: Any, predicted: Any, present: Any) -> list[Any]:
        """*graph*: return the state that one batch adds to zero; nothing where ``present`` is 0."""
        if self._metric is None:
            return []
        zero = [tf.zeros(s, d) for s, d in zip(self.shapes, self.dtypes, strict=True)]
        state = self._metric.stateless_update_state(zero, y, predicted)
        return [tf.convert_to_tensor(part) * tf.cast(present, d) for part, d in zip(state, self.dtypes, strict=True)]

    def results(self, state: Sequence[Array]) -> dict[str, float]:
        """Return name -> value for summed states."""
        if self._metric is None:
            return {}
        tensors = [tf.constant(part, dtype) for part, dtype in zip(state, self.dtypes, strict=True)]
        return {name: float(value) for name, value in self._metric.stateless_result(tensors).items()}
