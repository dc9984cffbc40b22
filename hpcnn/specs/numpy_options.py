"""Check the options of ``hpcnn train`` for a network in NumPy, which supports only some of them. Pure."""

from __future__ import annotations

from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import bad_value, unknown_value
from hpcnn.zoo.registry import in_numpy

# The cost functions of the lecture, by Keras's names (``models/numpy/costs.py``).
NUMPY_LOSSES = ("mean_squared_error", "binary_crossentropy")


def check_options(spec: TrainSpec) -> None:
    """Raise UsageError for an option that a network in NumPy does not support. Other networks pass."""
    if not in_numpy(spec.model):
        return
    valid: dict[str, tuple[object, ...]] = {
        "strategy": ("serial",),
        "optimizer": (None, "sgd"),
        "momentum": (None, 0.0),
        "precision": ("float32",),
        "shuffle": ("global",),
        "augment": ({},),
        "lr_scaling": ("none",),
        "sync_batch_norm": (False,),
        "tensorboard": (False,),
        "profile": (None,),
        "checkpoint": (False,),
        "checkpoint_best": (False,),
        "evaluate_training": (False,),
        "lr_schedule": (None,),
        "layer_lr": ({},),
        "larc": (None,),
        "weights": (None,),
        "freeze": ((),),
        "class_weight": ({},),
        "ignore_label": (None,),
    }
    for field, values in valid.items():
        given = getattr(spec, field)
        if given not in values:
            expected = f"{values[-1]!r}" if values[-1] else "no value"
            option = f"--{field.replace('_', '-')}"
            raise bad_value(option, given, f"{expected} with {spec.model}, which is NumPy in one process")
    if spec.loss not in (None, *NUMPY_LOSSES):
        raise unknown_value(f"--loss with {spec.model}", spec.loss, NUMPY_LOSSES)
