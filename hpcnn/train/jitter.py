"""How much the steps of an epoch differ: the mean, variance and skewness of their work, and the sum of their maxima.

The work of a step is what a replica does between two sums of gradients, without waiting for the others: a synchronous
step lasts as long as the work of its slowest replica, and then as long as the sum takes. Must not import TensorFlow.
"""

from __future__ import annotations

import numpy as np

from hpcnn.parallel.base import Strategy
from hpcnn.train.plan import Block
from hpcnn.util.types import Array, Json


class StepTimes:
    """The seconds of work of each whole step of an epoch, on this process's replicas."""

    def __init__(self) -> None:
        self._parts: list[Array] = []
        self._batch = 0

    def add(self, block: Block, work: Array) -> None:
        """Keep the ``work`` (steps x replicas) of a block. The smaller last batch does not count: it has less to do."""
        if block.batch > self._batch:
            self._parts, self._batch = [], block.batch
        if block.batch == self._batch:
            self._parts.append(work)

    def of_epoch(self, strategy: Strategy) -> dict[str, Json]:
        """Return what the record says of the epoch, the same on every rank, and begin the next.

        All ranks must call it. Moments are over steps and replicas; ``step_seconds_sum_of_maxima`` is the sum over
        steps of the largest work of a replica.
        """
        work = np.concatenate(self._parts) if self._parts else np.zeros((0, 1))
        self._parts = []
        if not len(work):
            return {}
        # about a value near the mean, which all ranks share: the powers of the values themselves would lose digits
        least, _ = strategy.extremes([float(np.median(work))])
        about = work - least[0]
        sums = strategy.reduce_metrics([about.size, *((about**power).sum() for power in (1, 2, 3))])
        first, second, third = sums[1:] / sums[0]
        variance = max(second - first**2, 0.0)
        central = third - 3 * first * second + 2 * first**3
        _, most = strategy.extremes(work.max(axis=1).tolist())
        return {
            "steps_timed": len(work),
            "step_seconds_mean": float(least[0] + first),
            "step_seconds_variance": float(variance),
            "step_skewness": float(central / variance**1.5) if variance > 0 else 0.0,
            "step_seconds_sum_of_maxima": float(most.sum()),
        }
