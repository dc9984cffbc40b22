"""Refuses a model that hpcnn's step would train as something else, and finds by which rule its losses add up.

hpcnn computes the steps itself, or calls a model's own (``own_step.py``); a class that makes its own loop of them is
refused by name. What a loss and a metric make of a batch must follow from its parts, or steps and ranks could
not be added up: that is tried on samples of the user's data before the training. Must not know ranks or files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.train.feed import Resident
from hpcnn.util.errors import UsageError
from hpcnn.util.loss_scaling import unscaled
from hpcnn.util.types import KerasModel, Optimizer, Tensor

# What a subclass may override and hpcnn passes by, because it makes loops of steps itself.
_PASSED_BY = ("make_train_function", "make_test_function", "fit")
# Options of compile() that say how Keras computes, not what, with Keras's defaults.
_HOW = {"run_eagerly": (False,), "steps_per_execution": (1,), "jit_compile": ("auto", False)}

WEIGHTED_HERE = (
    "Does it divide by the number of replicas, or sum over them (num_replicas_in_sync, tf.nn.compute_average_loss, "
    "all_reduce)? hpcnn does that: compute what is right for one replica"
)
"""What to do with losses that know of replicas."""

MEAN = "mean"
"""The loss of a batch is the mean of its parts' losses, weighted by their samples."""
SUM = "sum"
"""The loss of a batch is the sum of its parts' losses: Keras's ``reduction="sum"``."""
BY_WEIGHT = "by weight"
"""The loss of a batch is the mean of its parts' losses, weighted by their sums of weights: Keras's
``reduction="mean_with_sample_weight"``."""

# Samples that are tried, fewer of large ones, and the share of them in the first of two parts: unequal parts, or a mean
# of the parts' means would pass for the mean.
_TRIED, _VALUES, _FIRST = 64, 2**20, 0.36
# Samples that a model predicts for that.
_PREDICTED = 8
# float32 sums in another order; half precision rounds more.
_TOLERANCE = {"mixed_bfloat16": 3e-2, "mixed_float16": 1e-2}


def check_methods(model: KerasModel) -> None:
    """Raise UsageError for a model that makes its own loop of steps."""
    for name in _PASSED_BY:
        method = vars(model).get(name) or getattr(type(model), name, None)
        if method is not None and not str(getattr(method, "__module__", "")).startswith("keras."):
            raise UsageError(
                f"--model: {type(model).__name__} has a {name}() of its own, and hpcnn train would not call it, "
                "because it makes the loop of steps itself. Call fit() in a script of yours, with hpcnn.init(): "
                "docs/own-script.md"
            )


def options_without_effect(model: KerasModel) -> list[str]:
    """Return the options of a user's ``compile()`` that change no number, and have no effect here: ``name=value``."""
    if not getattr(model, "compiled", False):
        return []
    given = model._compile_config.config
    return [
        f"{name}={given[name]!r}" for name, usual in _HOW.items() if given.get(name, usual[0]) not in (None, *usual)
    ]


def check_optimizer(optimizer: Optimizer, replicas: int, strategy: str) -> None:
    """Raise UsageError for an optimizer that Keras 3 cannot apply in several replicas of ``tf.distribute``."""
    optimizer = unscaled(optimizer)
    if replicas == 1 or strategy not in ("mirrored", "multiworker"):
        return
    for name in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
        value = getattr(optimizer, name, None)
        if value is not None:
            raise UsageError(
                f"--strategy: {strategy} with {replicas} replicas cannot apply an optimizer with {name}={value!r} (a "
                "limit of Keras 3 under tf.distribute); use --strategy horovod"
            )


@dataclass(frozen=True)
class Trial:
    """Some samples of the training set, with what the model makes of them where that is asked; and parts of them."""

    x: Any
    y: Any
    weights: Any
    samples: int
    predicted: Any = None

    @property
    def parts(self) -> tuple[Trial, Trial]:
        """Return the first third or so, and the rest."""
        cut = max(1, round(_FIRST * self.samples))
        return self.part(slice(cut)), self.part(slice(cut, None))

    @property
    def twice(self) -> Trial:
        """Return each sample twice: a batch with the same statistics."""
        return self.each(lambda array: tf.concat([array, array], axis=0), 2 * self.samples)

    @property
    def packed(self) -> tuple[Any, ...]:
        """Return what Keras's ``fit`` gives ``train_step`` for these samples."""
        return packed(self.x, self.y, self.weights)

    def part(self, chosen: slice) -> Trial:
        """Return some of the samples."""
        return self.each(lambda array: array[chosen], len(range(self.samples)[chosen]))

    def each(self, change: Callable[[Any], Any], samples: int) -> Trial:
        """Return what a change makes of every array, which has so many samples then."""

        def change_with_mask(array: Any) -> Any:
            changed, mask = change(array), getattr(array, "_keras_mask", None)
            if mask is not None:
                changed._keras_mask = change(mask)  # Keras's losses take the mask from the prediction
            return changed

        x, y, weights, predicted = (
            None if nest is None else keras.tree.map_structure(change_with_mask, nest)
            for nest in (self.x, self.y, self.weights, self.predicted)
        )
        return Trial(x, y, weights, samples, predicted)


def packed(x: Any, y: Any, weights: Any) -> tuple[Any, ...]:
    """Return what Keras's ``fit`` gives ``train_step`` for these arrays. weights: of the samples, or None."""
    return (x, y) if weights is None else (x, y, weights)


def tried(model: KerasModel, data: Resident) -> Trial:
    """Return some samples with predictions of the model: those for the first few of them, each several times.

    What losses and metrics make of a batch is the same question with any predictions, and to make one for every sample
    would be a large part of the start of a deep network.
    """
    sample = sample_of(model, data)
    few = min(_PREDICTED, sample.samples)
    places = tf.range(sample.samples) * few // sample.samples  # not in turn: then both parts would have the same
    first = sample.part(slice(few))
    predicted = replace(first, predicted=model(first.x, training=False))
    again = predicted.each(lambda array: tf.gather(array, places), sample.samples)
    return replace(sample, predicted=again.predicted)


def sample_of(model: KerasModel, data: Resident) -> Trial:
    """Return some samples of the training set, chosen at random but the same in every run."""
    features = keras.tree.flatten(data.features[0])
    there, size = features[0].shape[0], sum(math.prod(part.shape[1:]) for part in features)
    count = min(there, max(4, min(_TRIED, _VALUES // max(size, 1))))
    chosen = np.sort(np.random.default_rng(0).choice(there, count, replace=False)).astype(np.int32)
    x, y, weights = data.gather(0, tf.constant(chosen))
    return Trial(x, y, weights, count)


def divides_by_weights(model: KerasModel) -> bool:
    """Return whether the loss of a model with one output is divided by the sum of the weights."""
    losses = keras.tree.flatten(model.loss)
    return len(losses) == 1 and getattr(losses[0], "reduction", None) == "mean_with_sample_weight"


def rule_of_loss(
    model: KerasModel, trial: Trial, loss: Callable[[Trial], Tensor], replicas: int, *, ignores: bool = False
) -> str:
    """Return MEAN or SUM: how the loss of a global batch follows from those of the replicas' slices.

    loss: computes it for the samples of a trial, penalties included. ignores: pixels that are ignored have a weight of
    0 here, and the step divides by the number of the others. Raises UsageError where neither rule holds: then
    several replicas would train something else than one, as with a mean over the samples that are not ignored.
    """
    tried_parts = trial.parts
    (whole, penalty), *found = (_with_penalty(model, loss, one) for one in (trial, *tried_parts))
    parts, penalties = [value for value, _ in found], [value for _, value in found]
    shares = [part.samples / trial.samples for part in tried_parts]
    of_loss = any(getattr(one, "ignore_class", None) is not None for one in keras.tree.flatten(model.loss))
    skips = of_loss and not ignores
    mean = sum(share * part for share, part in zip(shares, parts, strict=True))
    if not skips and _near(model, whole, mean, parts):
        return MEAN
    penalties_are_means = _near(
        model, penalty, sum(share * part for share, part in zip(shares, penalties, strict=True)), penalties
    )
    summed = sum(part - extra for part, extra in zip(parts, penalties, strict=True))
    if not skips and penalties_are_means and _near(model, whole - penalty, summed, parts):
        return SUM
    first, second = (part.samples for part in tried_parts)
    raise UsageError(
        f"--model, --loss: the loss of {trial.samples} samples is {whole:.6g}; of {first} and {second} of them it is "
        f"{parts[0]:.6g} and {parts[1]:.6g}, which give the whole neither as a mean nor as a sum. So {replicas} "
        "replicas would train something else than one. A mean over the samples that are not ignored or masked is of "
        "this kind: return a loss for each sample, with 0 for those, or train with one rank. Where labels are the "
        "classes of pixels, --ignore-label N divides by the right number on any ranks"
    )


def check_replicas_loss(model: KerasModel, trial: Trial, loss: Callable[[Trial], Tensor], strategy: Strategy) -> None:
    """Raise UsageError for a loss of the user's that divides by the number of replicas itself, or sums over them."""

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def run() -> list[Tensor]:
        with strategy.undivided_losses():
            return strategy.run(lambda: loss(trial), ())

    alone, in_replica = float(loss(trial)), float(run()[0])
    if not _near(model, alone, in_replica, [alone]):
        raise UsageError(
            f"--model, --loss: the loss of the same samples is {in_replica:.6g} in one of {strategy.size} replicas of "
            f"{strategy.name}, and {alone:.6g} alone. {WEIGHTED_HERE}"
        )


def _with_penalty(model: KerasModel, loss: Callable[[Trial], Tensor], trial: Trial) -> tuple[float, float]:
    """Return the loss of some samples, and the part of it that regularizers and ``add_loss`` give."""
    value = float(loss(trial))
    return value, float(sum(tf.reduce_sum(tf.cast(extra, tf.float32)) for extra in model.losses))


def check_metrics(
    model: KerasModel, metrics: Sequence[Any], states: Callable[[Trial], Sequence[Tensor]], trial: Trial
) -> None:
    """Raise UsageError for a metric whose state of a batch is not the sum of its parts' states: a maximum, say.

    metrics: Keras's objects. states: their variables after an update with the samples of a trial, in their order.
    """
    whole, one, other = (list(states(part)) for part in (trial, *trial.parts))
    position = 0
    for metric in metrics:
        for number in range(position, position + len(metric.variables)):
            total, *parts = (np.asarray(state[number], np.float64) for state in (whole, one, other))
            scale = max(float(np.abs(total).max(initial=0.0)), *(float(np.abs(p).max(initial=0.0)) for p in parts))
            if np.abs(total - sum(parts)).max(initial=0.0) > _tolerance(model) * scale:
                raise UsageError(
                    f"--model: metric {metric.name!r} ({type(metric).__name__}) cannot be added up over steps and "
                    "ranks: after all samples its state is not the sum of the states after two parts of them. Leave it "
                    "out of compile(), and compute it from the trained network"
                )
        position += len(metric.variables)


def _near(model: KerasModel, whole: float, of_parts: float, parts: Sequence[float]) -> bool:
    return abs(whole - of_parts) <= _tolerance(model) * max(abs(whole), *(abs(part) for part in parts))


def _tolerance(model: KerasModel) -> float:
    return _TOLERANCE.get(model.dtype_policy.name, 1e-4)
