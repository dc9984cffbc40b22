"""What the record says of a script's epochs and of its work: for ``fit`` and for loops of a user's own alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpcnn.parallel.base import Strategy
from hpcnn.train.context import Fits
from hpcnn.train.setup import trainable_parameters
from hpcnn.util.types import Json, KerasModel


def averaged(strategy: Strategy, logs: Mapping[str, Any]) -> dict[str, float]:
    """Return the mean over the ranks of each value. All ranks must call it, with the same names."""
    names = sorted(logs)
    sums = strategy.reduce_metrics([float(logs[name]) for name in names])
    return {name: float(value) / strategy.size for name, value in zip(names, sums, strict=True)}


def epoch_line(
    fits: Fits, seconds: float, logs: Mapping[str, float], samples: int | None, steps: int | None, rate: float | None
) -> dict[str, Json]:
    """Return one epoch's record. A script does not tell input and compute apart: those are null, not guessed.

    fits: after the epoch. seconds: of the training alone. samples, steps: of this rank. logs: over all ranks.
    """
    training = {name: value for name, value in logs.items() if not name.startswith("val_")}
    return {
        "epoch": fits.epochs,
        "seconds_total": seconds,
        "seconds_input": None,
        "seconds_compute": None,
        "seconds_communication": None,
        "seconds_other": None,
        "seconds_evaluation": None,
        "samples": samples,
        "steps": steps,
        "loss": training.pop("loss", None),
        "metrics": training,
        "validation": fits.validation,
        "learning_rate": rate,
    }


def work_of(models: Sequence[KerasModel], fits: Fits) -> dict[str, dict[str, int] | int]:
    """Return what the record says of a script's work, as far as it is known.

    The numbers of weights of its models together; the global batch size; the samples of an epoch of all ranks.
    """
    facts: dict[str, dict[str, int] | int] = {}
    if models:
        facts["model"] = {
            "parameters": sum(model.count_params() for model in models),
            "trainable": sum(trainable_parameters(model) for model in models),
            "tensors": sum(len(model.trainable_weights) for model in models),
        }
    if fits.batch_size:
        facts["global_batch_size"] = fits.batch_size
    if fits.samples:
        facts["samples"] = fits.samples
    return facts
