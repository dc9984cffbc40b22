"""Runs a user's own ``train_step`` and ``test_step`` inside hpcnn's steps: slices, sums over ranks, metrics as sums.

Keras's contract ("Customizing what happens in fit()"): ``train_step(data)`` computes gradients, gives them to an
optimizer, updates metrics and returns a dictionary. Here each optimizer's ``apply`` first sums the gradients over the
replicas, each weighted by its share of the global batch. The metrics begin each step at zero, and what they hold after
it is what the step adds. How a gradient follows from those of parts of a batch is tried before the training. Must not
know ranks or files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.train.feed import Resident
from hpcnn.train.own_step_trial import Trials, flat, is_own
from hpcnn.train.sameness import MEAN, Trial, packed, sample_of
from hpcnn.train.state import optimizers_of
from hpcnn.train.tensors import dense, sum_present, when
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array, KerasModel, Optimizer, Tensor

# What a subclass may override of Keras's step. hpcnn's own step calls `compute_loss` and `call` too, so those are not
# here.
_STEPS = ("train_step", "test_step", "compute_metrics")


def has_own_step(model: KerasModel) -> bool:
    """Return whether a model computes its own step."""
    return any(is_own(model, name) for name in _STEPS)


def has_own_compile(model: KerasModel) -> bool:
    """Return whether a model has a ``compile`` of its own, whose options are not Keras's."""
    return is_own(model, "compile")


class OwnStep:
    """The steps of one model. Building it tries them on some samples, and leaves every variable as it was.

    optimizers: those that train. no_test: why the model cannot be evaluated, None where it can. shapes: of the sums of
    a step.
    Raises UsageError for a step whose gradients or metrics do not add up over replicas.
    """

    def __init__(self, model: KerasModel, data: Resident, strategy: Strategy) -> None:
        self._model, self._strategy = model, strategy
        self._replica = threading.local()  # tf.distribute traces each replica in a thread of its own
        sample = sample_of(model, data)
        values = [(variable, variable.numpy()) for variable in _without_metrics(model)]
        kept = {id(variable) for variable, _ in values}
        self.optimizers = self._build(sample)
        values += [(variable, variable.numpy()) for variable in _without_metrics(model) if id(variable) not in kept]
        for optimizer in optimizers_of(model):
            strategy.prepare_optimizer(optimizer)
        trial = Trials(model, self, sample, strategy, lambda: [variable.assign(value) for variable, value in values])
        self.no_test, of_test = trial.evaluated()
        self.names = sorted({*trial.logs, *of_test})
        self._metrics = list(model.metrics)
        self.shapes = [*(tuple(v.shape) for m in self._metrics for v in m.variables), (2, len(self.names))]
        self.rules = trial.rules() if strategy.size > 1 else [MEAN] * len(self.optimizers)
        self._of_training = trial.metric_rules("train_step")
        self._of_test = self._of_training if self.no_test else trial.metric_rules("test_step")
        if strategy.size > 1:
            trial.check_replicas()
        trial.restore()
        _forget_batches(model, kept)

    def _build(self, sample: Trial) -> list[Optimizer]:
        """Build what the first step would build; return the optimizers that it trains with."""
        used: dict[int, Optimizer] = {}
        with self.instead_of_apply(lambda optimizer, grads, variables: used.update(_built(optimizer, variables))):
            self._strategy.run(lambda data: self._model.train_step(data), (sample.packed,))
        self._model.built = True  # what Keras says of a model once `fit` has called its step
        if not used:
            raise UsageError(
                f"--model: train_step() of {type(self._model).__name__} gives no gradients to an optimizer that is an "
                "attribute of the model, so hpcnn cannot sum them over ranks"
            )
        return list(used.values())

    @contextmanager
    def instead_of_apply(self, do: Callable[[Optimizer, Sequence[Tensor], Sequence[Any]], Any]) -> Iterator[None]:
        """Call ``do`` with the gradients of each ``apply`` of one of the model's optimizers."""
        patched = [(optimizer, vars(optimizer).get("apply")) for optimizer in optimizers_of(self._model)]
        for optimizer, _ in patched:
            optimizer.apply = _replaced(optimizer, do)
        try:
            yield
        finally:
            for optimizer, own in patched:
                del optimizer.apply
                if own is not None:
                    optimizer.apply = own

    @contextmanager
    def traced(self) -> Iterator[None]:
        """*graph, outside run*: let ``train`` and ``test`` be called by the replicas inside the context.

        Each optimizer's ``apply`` is replaced here, once for all replicas: they take turns at it.
        """
        with self.instead_of_apply(lambda *given: self._replica.apply(*given)):
            yield

    def train(self, x: Tensor, y: Tensor, weights: Tensor, share: Tensor) -> _Done:
        """*graph, inside run*: do one training step of a slice that is this share of the global batch."""
        waited: list[tuple[Tensor, Tensor]] = []

        def sum_and_apply(optimizer: Optimizer, grads: Sequence[Tensor], variables: Sequence[Any]) -> None:
            number = self._number_of(optimizer)
            factor = share if number is None or self.rules[number] == MEAN else tf.sign(share)
            own = [None if g is None else dense(g) * tf.cast(factor, g.dtype) for g in grads]
            whole = sum_present(self._strategy, own, f"gradient.{number}")
            waited.append((when(own), when(whole)))
            type(optimizer).apply(optimizer, whole, variables)

        self._zero()
        self._replica.apply = sum_and_apply
        logs = flat(self._model.train_step(packed(x, y, weights)))
        return _Done(self._state(logs, x, share, self._of_training), waited)

    def tried(self, data: Any) -> list[Tensor]:
        """*graph, inside run*: return each optimizer's summed gradients as one vector, of samples all replicas have."""
        found: list[list[Tensor]] = [[] for _ in self.optimizers]

        def note(optimizer: Optimizer, grads: Sequence[Tensor], variables: Sequence[Any]) -> None:
            number = self._number_of(optimizer) or 0
            found[number] += [tf.cast(tf.reshape(dense(g), [-1]), tf.float32) for g in grads if g is not None]

        self._replica.apply = note
        self._model.train_step(data)
        return self._strategy.reduce([tf.concat(one, 0) / self._strategy.size for one in found])

    def _number_of(self, optimizer: Optimizer) -> int | None:
        """Return which of the tried optimizers one is; None, on one rank alone, where it is another."""
        number = next((n for n, one in enumerate(self.optimizers) if one is optimizer), None)
        if number is None and self._strategy.size > 1:
            raise UsageError(
                f"--model: train_step() of {type(self._model).__name__} gives gradients to an optimizer "
                f"({optimizer.name}) that it did not use in its first step, so hpcnn did not see how these add up over "
                "ranks: use every optimizer in each step, or train with one rank"
            )
        return number

    def test(self, x: Tensor, y: Tensor, weights: Tensor, share: Tensor) -> _Done:
        """*graph, inside run*: evaluate a slice."""
        self._zero()
        logs = flat(self._model.test_step(packed(x, y, weights)))
        return _Done(self._state(logs, x, share, self._of_test), [])

    def results(self, state: Sequence[Array]) -> dict[str, float]:
        """Return name -> value for summed states: of metrics by their rule, of other numbers the mean over samples."""
        found: dict[str, float] = {}
        position = 0
        for metric in self._metrics:
            own = state[position : position + len(metric.variables)]
            position += len(own)
            tensors = [tf.constant(part, v.dtype) for part, v in zip(own, metric.variables, strict=True)]
            value = metric.stateless_result(tensors)
            found |= value if isinstance(value, Mapping) else {metric.name: value}
        numbers, samples = state[-1].tolist()
        raw = {name: n / count for name, n, count in zip(self.names, numbers, samples, strict=True) if count}
        return {name: float(found.get(name, number)) for name, number in raw.items()}

    def _state(self, logs: Mapping[str, Tensor], x: Tensor, share: Tensor, rules: Sequence[str]) -> list[Tensor]:
        present = tf.sign(share)
        count = tf.cast(tf.shape(keras.tree.flatten(x)[0])[0], tf.float32) * present
        variables = [v for metric in self._metrics for v in metric.variables]
        weights = [share if rule == MEAN else present for rule in rules]
        metrics = [tf.cast(v, w.dtype) * w for v, w in zip(map(tf.convert_to_tensor, variables), weights, strict=True)]
        raw = [tf.cast(tf.reduce_mean(logs[name]) if name in logs else 0.0, tf.float32) for name in self.names]
        measured = [1.0 if name in logs else 0.0 for name in self.names]  # a test step may return fewer numbers
        return [*metrics, tf.stack([tf.stack(raw), tf.constant(measured)]) * count]

    def _zero(self) -> None:
        for metric in self._metrics:
            for variable in metric.variables:
                variable.assign(tf.zeros(variable.shape, variable.dtype))


class _Done:
    """What one step of a slice gave. waited: when the gradients of each ``apply`` were ready, and when summed."""

    def __init__(self, state: list[Tensor], waited: list[tuple[Tensor, Tensor]]) -> None:
        self.state, self.waited = state, waited


def _without_metrics(model: KerasModel) -> list[Any]:
    of_metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
    return [variable for variable in model.variables if id(variable) not in of_metrics]


def _replaced(optimizer: Optimizer, do: Callable[[Optimizer, Sequence[Tensor], Sequence[Any]], Any]) -> Any:
    def apply(grads: Sequence[Tensor], trainable_variables: Sequence[Any] | None = None) -> None:
        variables = optimizer._trainable_variables if trainable_variables is None else trainable_variables
        do(optimizer, list(grads), list(variables))

    return apply


def _built(optimizer: Optimizer, variables: Sequence[Any]) -> dict[int, Optimizer]:
    if not optimizer.built:
        optimizer.build(list(variables))
    return {id(optimizer): optimizer}


def _forget_batches(model: KerasModel, known: set[int]) -> None:
    """Give batch normalizations that the trial has built their initial statistics: the others have been restored."""
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, keras.layers.BatchNormalization) and id(layer.moving_mean) not in known:
            layer.moving_mean.assign(tf.zeros(layer.moving_mean.shape))
            layer.moving_variance.assign(tf.ones(layer.moving_variance.shape))
