"""Runs a user's own ``train_step`` and ``test_step`` inside hpcnn's steps: slices, sums over ranks, metrics as sums.

Keras's contract ("Customizing what happens in fit()"): ``train_step(data)`` computes gradients, gives them to an
optimizer, updates metrics and returns a dictionary. Here each optimizer's ``apply`` first sums the gradients over the
replicas, each weighted by its share of the global batch. The metrics begin each step at zero, and what they hold after
it is what the step adds. How a gradient follows from those of parts of a batch is tried before the training. Must not
know ranks or files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.train.feed import Resident
from hpcnn.train.sameness import MEAN, SUM, Trial, packed, sample_of
from hpcnn.train.state import optimizers_of
from hpcnn.train.tensors import dense, sum_present, when
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array, KerasModel, Optimizer, Tensor

# What a subclass may override of Keras's step. hpcnn's own step calls `compute_loss` and `call` too, so those are not
# here.
_STEPS = ("train_step", "test_step", "compute_metrics")

# The norm of a gradient of a batch that holds each sample twice, by that of the batch: 1 for a mean, 2 for a sum. Noise
# of dropout moves it.
_MEAN_OF_TWICE, _SUM_OF_TWICE = (0.6, 1.5), (1.5, 3.0)
_TOLERANCE = 1e-3


def has_own_step(model: KerasModel) -> bool:
    """Return whether a model computes its own step."""
    return any(_is_own(model, name) for name in _STEPS)


def has_call(model: KerasModel) -> bool:
    """Return whether a model can be called: one of several networks (a GAN) often cannot."""
    return getattr(type(model), "call", None) is not keras.Model.call


def _is_own(model: KerasModel, name: str) -> bool:
    method = vars(model).get(name) or getattr(type(model), name, None)
    return method is not None and not str(getattr(method, "__module__", "")).startswith("keras.")


class OwnStep:
    """The steps of one model. Building it tries them on some samples, and leaves every variable as it was.

    optimizers: those that train. no_test: why the model cannot be evaluated, None where it can. shapes: of the sums of
    a step.
    Raises UsageError for a step whose gradients or metrics do not add up over replicas.
    """

    def __init__(self, model: KerasModel, data: Resident, replicas: int) -> None:
        self._model, self._replicas = model, replicas
        sample = sample_of(model, data)
        kept = {id(variable) for variable in model.variables}
        self.optimizers = self._build(sample)
        values = [(v, v.numpy()) for v in model.variables]
        trial = _Trial(self, sample, lambda: [variable.assign(value) for variable, value in values])
        self.no_test, of_test = trial.evaluated()
        self.names = sorted({*trial.logs, *of_test})
        self._metrics = list(model.metrics)
        self.shapes = [*(tuple(v.shape) for m in self._metrics for v in m.variables), (2, len(self.names))]
        self.rules = trial.rules() if replicas > 1 else [MEAN] * len(self.optimizers)
        trial.check_metrics(self._metrics)
        trial.restore()
        _forget_batches(model, kept)

    def _build(self, sample: Trial) -> list[Optimizer]:
        """Build what the first step would build; return the optimizers that it trains with."""
        used: dict[int, Optimizer] = {}
        with self._instead_of_apply(lambda optimizer, grads, variables: used.update(_built(optimizer, variables))):
            self._model.train_step(sample.packed)
        self._model.built = True  # what Keras says of a model once `fit` has called its step
        if not used:
            raise UsageError(
                f"--model: train_step() of {type(self._model).__name__} gives no gradients to an optimizer that is an "
                "attribute of the model, so hpcnn cannot sum them over ranks"
            )
        return list(used.values())

    @contextmanager
    def _instead_of_apply(self, do: Callable[[Optimizer, Sequence[Tensor], Sequence[Any]], Any]) -> Iterator[None]:
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

    def train(self, x: Tensor, y: Tensor, weights: Tensor, strategy: Strategy, share: Tensor) -> _Done:
        """*graph, inside run*: do one training step of a slice that is this share of the global batch."""
        waited: list[tuple[Tensor, Tensor]] = []

        def sum_and_apply(optimizer: Optimizer, grads: Sequence[Tensor], variables: Sequence[Any]) -> None:
            number = next((n for n, one in enumerate(self.optimizers) if one is optimizer), None)
            if number is None and self._replicas > 1:
                raise UsageError(
                    f"--model: train_step() of {type(self._model).__name__} gives gradients to an optimizer "
                    f"({optimizer.name}) that it did not use in its first step, so hpcnn did not see how these add up "
                    "over ranks: use every optimizer in each step, or train with one rank"
                )
            factor = share if number is None or self.rules[number] == MEAN else tf.sign(share)
            own = [None if g is None else dense(g) * tf.cast(factor, g.dtype) for g in grads]
            whole = sum_present(strategy, own, f"gradient.{number}")
            waited.append((when(own), when(whole)))
            type(optimizer).apply(optimizer, whole, variables)

        self._zero()
        with self._instead_of_apply(sum_and_apply):
            logs = self._model.train_step(packed(x, y, weights))
        return _Done(self._state(logs, x, share), waited)

    def test(self, x: Tensor, y: Tensor, weights: Tensor, share: Tensor) -> _Done:
        """*graph, inside run*: evaluate a slice."""
        self._zero()
        logs = self._model.test_step(packed(x, y, weights))
        return _Done(self._state(logs, x, share), [])

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

    def _state(self, logs: Mapping[str, Tensor], x: Tensor, share: Tensor) -> list[Tensor]:
        present = tf.sign(share)
        count = tf.cast(tf.shape(keras.tree.flatten(x)[0])[0], tf.float32) * present
        metrics = [tf.convert_to_tensor(v) * tf.cast(present, v.dtype) for m in self._metrics for v in m.variables]
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


class _Trial:
    """Steps on some samples that change nothing: what they return, and how their gradients add up."""

    def __init__(self, step: OwnStep, sample: Trial, restore: Callable[[], object]) -> None:
        self._step, self._model, self._sample, self.restore = step, step._model, sample, restore
        self.logs = self._gradients(sample)[1]

    def evaluated(self) -> tuple[str | None, Sequence[str]]:
        """Return why the model cannot be evaluated, None where it can; and the names of what a test step measures."""
        if not _is_own(self._model, "test_step"):
            if not has_call(self._model):
                return "the model has neither a test_step() nor a call() of its own", ()
            if getattr(self._model, "loss", None) is None:
                return "the model has no test_step() of its own, and was compiled without a loss", ()
        self.restore()
        return None, list(self._model.test_step(self._sample.packed))

    def rules(self) -> list[str]:
        """Return how each optimizer's gradient of a batch follows from those of its parts: MEAN or SUM."""
        whole = self._gradients(self._sample)[0]
        again = self._gradients(self._sample, restore=False)[0]  # other masks where there are any
        one, other, twice = (self._gradients(sample)[0] for sample in (*self._sample.parts, self._sample.twice))
        found = []
        for number, gradient in enumerate(whole):
            if _near(gradient, again[number]) and not _normalizes_batches(self._model):
                found.append(self._rule_of_parts(gradient, one[number], other[number]))
            else:
                found.append(self._rule_of_twice(gradient, twice[number]))
        return found

    def _rule_of_parts(self, whole: Array, one: Array, other: Array) -> str:
        shares = [part.samples / self._sample.samples for part in self._sample.parts]
        if _near(whole, shares[0] * one + shares[1] * other):
            return MEAN
        if _near(whole, one + other):
            return SUM
        raise self._no_rule()

    def _rule_of_twice(self, once: Array, twice: Array) -> str:
        ratio = float(np.linalg.norm(twice)) / max(float(np.linalg.norm(once)), 1e-30)
        for rule, (low, high) in ((MEAN, _MEAN_OF_TWICE), (SUM, _SUM_OF_TWICE)):
            if low <= ratio < high:
                return rule
        raise self._no_rule()

    def _no_rule(self) -> UsageError:
        return UsageError(
            f"--model: train_step() of {type(self._model).__name__}: the gradients of a batch are neither the mean nor "
            "the sum of those of its parts, so several ranks would train something else than one. A mean over the "
            "samples that are not ignored or masked is of this kind: train with one rank"
        )

    def check_metrics(self, metrics: Sequence[Any]) -> None:
        """Raise UsageError for a metric whose state of a batch is not the sum of its parts' states: a maximum, say."""
        states = [self._states(metrics, sample) for sample in (self._sample, self._sample.twice)]
        for metric, once, twice in zip(metrics, *states, strict=True):
            scale = max(float(np.abs(twice).max(initial=0.0)), 1e-30)
            if float(np.abs(twice - 2 * once).max(initial=0.0)) > 0.5 * scale:
                raise UsageError(
                    f"--model: metric {metric.name!r} ({type(metric).__name__}) of train_step() cannot be added up "
                    "over steps and ranks: after each sample twice, its state is not twice that after each once"
                )

    def _states(self, metrics: Sequence[Any], sample: Trial) -> list[Array]:
        """Return what each metric holds after a step with the samples, as one vector each."""
        self._gradients(sample)
        return [
            np.concatenate([np.zeros(0), *(np.ravel(np.asarray(v.numpy(), np.float64)) for v in metric.variables)])
            for metric in metrics
        ]

    def _gradients(self, sample: Trial, *, restore: bool = True) -> tuple[list[Array], dict[str, Tensor]]:
        """Return each optimizer's gradients as one vector, of all its calls, and what the step returned."""
        found: dict[int, list[Array]] = {id(optimizer): [] for optimizer in self._step.optimizers}

        def note(optimizer: Optimizer, grads: Sequence[Tensor], variables: Sequence[Any]) -> None:
            parts = [np.ravel(tf.convert_to_tensor(g).numpy()).astype(np.float64) for g in grads if g is not None]
            found.setdefault(id(optimizer), []).extend(parts)

        if restore:
            self.restore()
        for metric in self._model.metrics:
            metric.reset_state()
        with self._step._instead_of_apply(note):
            logs = self._model.train_step(sample.packed)
        if not isinstance(logs, Mapping):
            raise UsageError(f"--model: train_step() of {type(self._model).__name__} returns no dictionary of numbers")
        vectors = [np.concatenate(found[id(optimizer)] or [np.zeros(0)]) for optimizer in self._step.optimizers]
        return vectors, dict(logs)


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


def _normalizes_batches(model: KerasModel) -> bool:
    layers = model._flatten_layers(include_self=False, recursive=True)
    return any(isinstance(layer, keras.layers.BatchNormalization) and layer.trainable for layer in layers)


def _near(one: Array, other: Array) -> bool:
    return one.shape == other.shape and float(np.linalg.norm(one - other)) <= _TOLERANCE * float(np.linalg.norm(one))
