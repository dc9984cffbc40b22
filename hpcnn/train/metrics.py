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
        flat = np.concatenate([[self.loss, self.samples], *(part.ravel() for part in self.state)])
        total = strategy.reduce_metrics(flat.tolist())
        state, position = [], 2
        for part in self.state:
            state.append(total[position : position + part.size].reshape(part.shape))
            position += part.size
        return Sums(float(total[0]), float(total[1]), self.seconds, state)


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
