"""Losses and metrics as sums that steps, replicas and ranks may be added up in, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.train.feed import Resident
from hpcnn.train.maps import confusion_of, over_valid
from hpcnn.train.sameness import (
    BY_WEIGHT,
    MEAN,
    SUM,
    Trial,
    check_metrics,
    check_replicas_loss,
    divides_by_weights,
    rule_of_loss,
    tried,
)
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array, KerasModel, Tensor


@dataclass
class Sums:
    """What steps add up one after the other, of one process or of all: divide by ``samples`` only at the end.

    A call takes the sums so far and goes on with them, in double precision. So they do not depend on how many steps a
    call has, which timing decides: the same run gives the same numbers, bit by bit.

    loss: sum over samples of the loss. seconds: input, compute, communication of this process.
    state: the metrics' own sums.
    """

    loss: float
    samples: float
    seconds: Array
    state: list[Array]

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

    Uses Keras's stateless interface: no variable is written, so it works the same inside every strategy. Of a model
    with several outputs, the loss of each is among them, as a sum over samples.

    Where labels are maps, a table of counts is among the sums, which gives their metrics (``maps.py``).

    rule: how the loss of a global batch follows from those of its slices (``sameness.py``).

    Raises UsageError for a metric or a loss that cannot be added up.
    """

    def __init__(self, model: KerasModel, data: Resident, strategy: Strategy) -> None:
        self._model = model
        self._metric = model._compile_metrics  # Keras has no public name for "the metrics of compile()"
        self._means = _means_of_outputs(model, data)
        self.shapes: list[tuple[int, ...]] = []
        self.dtypes: list[Tensor] = []
        trial = tried(model, data)
        if self._metric is not None:
            self._metric.update_state(trial.y, trial.predicted, trial.weights)  # some make their state only now
            self._metric.reset_state()
            self.shapes = [tuple(v.shape) for v in self._metric.variables]
            self.dtypes = [v.dtype for v in self._metric.variables]
            check_metrics(
                model, self._metric.metrics, lambda part: self._update(part.y, part.predicted, part.weights), trial
            )
        if self._means:
            self.shapes.append((len(self._means) + 1,))  # with the samples
            self.dtypes.append("float32")
        self._maps = data.form.maps
        self._confusion = confusion_of(self._maps, model)
        if self._confusion is not None:
            self.shapes.append(self._confusion.shape)
            self.dtypes.append("float64")
        self.rule = self._rule(trial, strategy)
        if strategy.size > 1:
            check_replicas_loss(model, trial, self._loss_of, strategy)

    def _rule(self, trial: Trial, strategy: Strategy) -> str:
        if strategy.size == 1 and not self._ignores:
            return MEAN
        if trial.weights is not None and divides_by_weights(self._model):
            return BY_WEIGHT
        try:
            return rule_of_loss(self._model, trial, self._loss_of, strategy.size, ignores=self._ignores)
        except UsageError:
            if strategy.size > 1:
                raise
            return MEAN

    @property
    def _ignores(self) -> bool:
        return self._maps is not None and self._maps.ignore is not None

    def _loss_of(self, trial: Trial) -> Tensor:
        predicted = trial.predicted
        if self._model.losses:  # what layers add follows from the samples of their last call
            predicted = self._model(trial.x, training=False)
        return self.loss(trial.x, trial.y, predicted, trial.weights, training=False)[0]

    def loss(
        self, x: Tensor, y: Tensor, predicted: Tensor, weights: Tensor, *, training: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """*graph*: return the loss of a slice, as Keras has it, and the mean over samples of each output's own."""
        if self._maps is not None:
            y = self._maps.for_loss(y, predicted)
        if not self._means:
            return self._model._compute_loss(x, y, predicted, weights, training=training), []
        variables = [variable for mean in self._means for variable in mean.variables]
        # Keras writes each output's loss to variables of its own; here they are read and never written.
        with keras.StatelessScope([(variable, tf.zeros(variable.shape)) for variable in variables]) as scope:
            loss = self._model._compute_loss(x, y, predicted, weights, training=training)
        values = [[scope.get_current_value(variable) for variable in mean.variables] for mean in self._means]
        return loss, [total / count for total, count in values]

    def of_batch(
        self, y: Tensor, predicted: Tensor, weights: Tensor, losses: Sequence[Tensor], samples: Tensor
    ) -> list[Tensor]:
        """*graph*: return the state that a batch of so many samples adds to zero; nothing where they are 0."""
        state = self._update(y, predicted, weights) if self._metric is not None else []
        present = tf.sign(samples)
        state = [tf.convert_to_tensor(part) * tf.cast(present, d) for part, d in zip(state, self.dtypes, strict=False)]
        if self._confusion is not None:
            state.append(self._confusion.of_batch(y, predicted) * tf.cast(present, tf.float64))
        return [*state, tf.stack([*losses, 1.0]) * samples] if losses else state

    def weights_in_loss(self, strategy: Strategy, y: Tensor, weights: Tensor, share: Tensor) -> Tensor:
        """*graph*: return weights with which the mean of a slice is its part of the global batch's mean.

        They differ from the weights where pixels are ignored: the global batch says over how many the mean is.
        """
        if not self._ignores or self.rule != MEAN:
            return weights
        assert self._maps is not None
        return weights * over_valid(strategy, self._maps.valid(self._maps.integers(y)), share)

    def part_of_sum(self, strategy: Strategy, weights: Tensor, share: Tensor) -> Tensor:
        """*graph*: return what the loss of a slice is multiplied by before all are summed; None for its share."""
        if self.rule == SUM:
            return tf.sign(share)
        if self.rule != BY_WEIGHT or weights is None:
            return None
        own = tf.reduce_sum(tf.cast(weights, tf.float32)) * tf.sign(share)
        return tf.math.divide_no_nan(own, strategy.reduce([own], "weights")[0])

    def _update(self, y: Tensor, predicted: Tensor, weights: Tensor) -> list[Tensor]:
        """*graph*: return the metrics' variables after one update from zero."""
        shapes = self.shapes[: len(self._metric.variables)]
        zero = [tf.zeros(s, d) for s, d in zip(shapes, self.dtypes, strict=False)]
        return list(self._metric.stateless_update_state(zero, y, predicted, weights))

    def results(self, state: Sequence[Array]) -> dict[str, float]:
        """Return name -> value for summed states."""
        found: dict[str, float] = {}
        tensors = [tf.constant(part, dtype) for part, dtype in zip(state, self.dtypes, strict=True)]
        if self._means:
            *sums, samples = state[-1].tolist()
            found = {m.name: total / max(samples, 1.0) for m, total in zip(self._means, sums, strict=True)}
            tensors = tensors[:-1]
        if self._confusion is not None:
            tensors = tensors[:-1]
        if self._metric is not None:
            found |= {name: float(value) for name, value in self._metric.stateless_result(tensors).items()}
        return found | (self._confusion.results(state[-1]) if self._confusion is not None else {})


def _means_of_outputs(model: KerasModel, data: Resident) -> list[Tensor]:
    """Return Keras's own means of the losses of several outputs; none where there is one output."""
    losses = model._compile_loss
    x, y, _ = data.gather(0, tf.constant([0], tf.int32))
    if losses is None or not isinstance(y, (dict, list)):
        return []
    if not losses.built:
        losses(y, model(x, training=False))
    return list(losses.metrics)
