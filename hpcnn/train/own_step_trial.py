"""Tries a model's own step before the training: how gradients, and what metrics hold, follow from parts of a batch.

Whether the gradient of a batch is the mean or the sum of those of its parts cannot be read from a ``train_step``. Each
trial restores every variable. Must not know ranks or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.train.sameness import MEAN, SUM, WEIGHTED_HERE, Trial
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array, KerasModel, Optimizer, Tensor

# The norm of a gradient of a batch that holds each sample twice, by that of the batch: 1 for a mean, 2 for a sum. Noise
# of dropout moves it.
_MEAN_OF_TWICE, _SUM_OF_TWICE = (0.6, 1.5), (1.5, 3.0)
# Of the same samples in every replica, by that of one alone: dropout and deep networks move it.
_SAME_OF_REPLICAS = (0.75, 1.4)
# By how much of the largest value a metric's state may be off where masks or batches make noise.
_NOISE = 0.4
_TOLERANCE = 1e-3


class Step(Protocol):
    """What is tried: the steps of a model, and the optimizers that train it (`own_step.OwnStep`)."""

    optimizers: list[Optimizer]

    def instead_of_apply(
        self, do: Callable[[Optimizer, Sequence[Tensor], Sequence[Any]], Any]
    ) -> AbstractContextManager[None]:
        """Call ``do`` in place of each optimizer's ``apply``."""

    def traced(self) -> AbstractContextManager[None]:
        """Let the replicas call ``tried``."""

    def tried(self, data: Any) -> list[Tensor]:
        """Return each optimizer's summed gradients as one vector."""


class Trials:
    """Steps on some samples that change nothing: what they return, and how their gradients add up."""

    def __init__(
        self, model: KerasModel, step: Step, sample: Trial, strategy: Strategy, restore: Callable[[], object]
    ) -> None:
        self._model, self._step, self._sample, self._strategy = model, step, sample, strategy
        self.restore = restore
        self.logs = self._gradients(sample)[1]

    def evaluated(self) -> tuple[str | None, Sequence[str]]:
        """Return why the model cannot be evaluated, None where it can; and the names of what a test step measures."""
        if not is_own(self._model, "test_step"):
            if not has_call(self._model):
                return "the model has neither a test_step() nor a call() of its own", ()
            if getattr(self._model, "loss", None) is None:
                return "the model has no test_step() of its own, and was compiled without a loss", ()
        self.restore()
        return None, list(flat(self._model.test_step(self._sample.packed)))

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

    def check_replicas(self) -> None:
        """Raise UsageError where a step gives other gradients among replicas of ``tf.distribute`` than alone.

        It may know of them: divide by their number, or sum over them. Every replica tries the same samples here, so
        the mean of their gradients is that of one.
        """
        alone, exact = self._gradients(self._sample)[0], self._repeats()
        self.restore()

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def run() -> Any:
            with self._strategy.undivided_losses(), self._step.traced():
                return self._strategy.run(self._step.tried, (self._sample.packed,))

        for one, mean in zip(alone, run()[0], strict=True):
            ratio = float(np.linalg.norm(mean)) / max(float(np.linalg.norm(one)), 1e-30)
            low, high = _SAME_OF_REPLICAS
            if not (_near(one, mean.numpy()) if exact else low < ratio < high):
                raise UsageError(
                    f"--strategy: {self._strategy.name} with {self._strategy.size} replicas: train_step() of "
                    f"{type(self._model).__name__} gives gradients {ratio:.3g} times those that it gives alone. "
                    f"{WEIGHTED_HERE}"
                )

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

    def metric_rules(self, step: str) -> list[str]:
        """Return how each variable of the metrics follows from those of parts of a batch: MEAN or SUM.

        A sum over samples doubles where each sample is there twice; what counts batches, as ``Mean.update_state(loss)``
        does, stays. step: train_step or test_step. Raises UsageError for a metric that steps do not add up: a maximum,
        say; and for one that replicas do not.
        """
        metrics, sample = self._model.metrics, self._sample
        variables = [(metric, variable) for metric in metrics for variable in metric.variables]
        once, again = self._states(step, sample), self._states(step, sample, reset=False)
        for (metric, _), one, two in zip(variables, once, again, strict=True):
            if _apart(two, 2 * one) > _NOISE:
                raise self._no_sum(step, metric, "after two steps with the same samples its state is not twice that")
        if self._strategy.size == 1:
            return [SUM] * len(variables)
        twice, *parts = (self._states(step, other) for other in (sample.twice, *sample.parts))
        exact = self._repeats() if step == "train_step" else all(map(_near, once, self._states(step, sample)))
        rules = []
        for (metric, _), one, two, *of_parts in zip(variables, once, twice, *parts, strict=True):
            rule = SUM if _apart(two, 2 * one) <= _apart(two, one) else MEAN
            shares = [1 if rule == SUM else part.samples / sample.samples for part in sample.parts]
            both = sum(share * part for share, part in zip(shares, of_parts, strict=True))
            if _apart(two, 2 * one if rule == SUM else one) > _NOISE or (exact and _apart(one, both) > _TOLERANCE):
                raise self._no_sum(step, metric, "its state after a batch does not follow from those after its parts")
            rules.append(rule)
        return rules

    def _no_sum(self, step: str, metric: Any, why: str) -> UsageError:
        return UsageError(
            f"--model: metric {metric.name!r} ({type(metric).__name__}) of {step}() cannot be added up over steps and "
            f"ranks: {why}"
        )

    def _states(self, step: str, sample: Trial, *, reset: bool = True) -> list[Array]:
        """Return each variable of the metrics after a step with the samples."""
        if step == "train_step":
            self._gradients(sample, reset=reset)
        else:
            self._prepare(restore=True, reset=reset)
            self._model.test_step(sample.packed)
        return [np.asarray(v.numpy(), np.float64) for metric in self._model.metrics for v in metric.variables]

    def _prepare(self, *, restore: bool, reset: bool) -> None:
        if restore:
            self.restore()
        for metric in self._model.metrics if reset else ():
            metric.reset_state()

    def _repeats(self) -> bool:
        """Return whether a step depends on nothing but each sample for itself: no masks, no statistics of a batch."""
        if _normalizes_batches(self._model):
            return False
        once, again = self._gradients(self._sample)[0], self._gradients(self._sample, restore=False)[0]
        return all(map(_near, once, again))

    def _gradients(
        self, sample: Trial, *, restore: bool = True, reset: bool = True
    ) -> tuple[list[Array], dict[str, Tensor]]:
        """Return each optimizer's gradients as one vector, of all its calls, and what the step returned."""
        found: dict[int, list[Array]] = {id(optimizer): [] for optimizer in self._step.optimizers}

        def note(optimizer: Optimizer, grads: Sequence[Tensor], variables: Sequence[Any]) -> None:
            parts = [np.ravel(tf.convert_to_tensor(g).numpy()).astype(np.float64) for g in grads if g is not None]
            found.setdefault(id(optimizer), []).extend(parts)

        self._prepare(restore=restore, reset=reset)
        with self._step.instead_of_apply(note):
            logs = self._model.train_step(sample.packed)
        if not isinstance(logs, Mapping):
            raise UsageError(f"--model: train_step() of {type(self._model).__name__} returns no dictionary of numbers")
        vectors = [np.concatenate(found[id(optimizer)] or [np.zeros(0)]) for optimizer in self._step.optimizers]
        return vectors, flat(logs)


def has_call(model: KerasModel) -> bool:
    """Return whether a model can be called: one of several networks (a GAN) often cannot."""
    return getattr(type(model), "call", None) is not keras.Model.call


def is_own(model: KerasModel, name: str) -> bool:
    """Return whether a model has a method of this name that is not Keras's."""
    method = vars(model).get(name) or getattr(type(model), name, None)
    return method is not None and not str(getattr(method, "__module__", "")).startswith("keras.")


def flat(logs: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return what a step returned as Keras's ``fit`` shows it: a dictionary within it is put in its place."""
    found: dict[str, Tensor] = {}
    for name, value in logs.items():
        found |= flat(value) if isinstance(value, Mapping) else {name: value}
    return found


def _normalizes_batches(model: KerasModel) -> bool:
    layers = model._flatten_layers(include_self=False, recursive=True)
    return any(isinstance(layer, keras.layers.BatchNormalization) and layer.trainable for layer in layers)


def _apart(one: Array, other: Array) -> float:
    """Return the largest difference, in units of the largest value."""
    scale = max(float(np.abs(one).max(initial=0.0)), float(np.abs(other).max(initial=0.0)), 1e-30)
    return float(np.abs(one - other).max(initial=0.0)) / scale


def _near(one: Array, other: Array) -> bool:
    return one.shape == other.shape and float(np.linalg.norm(one - other)) <= _TOLERANCE * float(np.linalg.norm(one))
