"""Fill the open fields of a TrainSpec: from the lecture's recipe, or with a stated default. Pure."""

from __future__ import annotations

import dataclasses

from hpcnn.specs.schedule import parse_schedule
from hpcnn.specs.shuffle import check_shuffle
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import bad_value
from hpcnn.util.types import Json
from hpcnn.zoo.registry import is_zoo, recipe

# Defaults for a user's own model. Its optimizer and loss are those of its compile().
OWN_MODEL: dict[str, Json] = {"epochs": 10, "batch_size": 128, "pixel_scale": "unit"}


def complete(spec: TrainSpec) -> TrainSpec:
    """Return the spec with every open field filled: from the lecture's recipe, or a stated default.

    A learning rate belongs to its optimizer: with another optimizer than the lecture's, the field stays open, and
    ``make_optimizer`` takes Keras's default for that one. Raises UsageError for an option that could have no effect.
    """
    _check_effect(spec)
    if is_zoo(spec.model):
        known = recipe(spec.model)
        source: dict[str, Json] = {
            "epochs": known.epochs,
            "batch_size": known.batch_size,
            "optimizer": known.optimizer,
            "learning_rate": known.learning_rate,
            "momentum": known.momentum,
            "loss": known.loss,
            "pixel_scale": known.pixel_scale,
        }
        spec = dataclasses.replace(spec, augment={**known.augment, **spec.augment})
    else:
        source = dict(OWN_MODEL)
    if spec.optimizer not in (None, source.get("optimizer")):
        source.update(learning_rate=None, momentum=None)
    missing = {key: value for key, value in source.items() if getattr(spec, key) is None}
    missing["evaluate"] = spec.evaluate and spec.communication
    missing["augment"] = spec.augment if spec.augmentation else {}
    return dataclasses.replace(spec, **missing)


def _check_effect(spec: TrainSpec) -> None:
    """Raise UsageError for an option that would have no effect beside the others."""
    check_shuffle(spec.shuffle)
    if spec.warmup_epochs and spec.lr_scaling == "none":
        raise bad_value("--warmup-epochs", spec.warmup_epochs, "no value unless --lr-scaling is linear or sqrt")
    if spec.lr_schedule is not None:
        parse_schedule(spec.lr_schedule)
    if spec.target_accuracy is not None and not spec.evaluate:
        raise bad_value("--target-accuracy", spec.target_accuracy, "no value with --no-evaluate")
    if spec.checkpoint_best and (spec.checkpoint or not spec.evaluate):
        other = "--checkpoint, which keeps all" if spec.checkpoint else "--no-evaluate"
        raise bad_value("--checkpoint-best", True, f"no value with {other}")
    if not spec.communication:
        for key in ("target_accuracy", "checkpoint", "checkpoint_best", "evaluate_training"):
            if getattr(spec, key):
                option = "--" + key.replace("_", "-")
                raise bad_value(option, getattr(spec, key), "no value with --no-communication, which trains no network")
