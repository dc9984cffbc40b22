"""What every rewrite needs: whether a layer may be rewritten, and how its attributes change until a context ends."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from hpcnn.util.types import Layer


def is_watched(layer: Layer) -> bool:
    """Return whether something besides the next layer sees or changes what the layer computes.

    A regularizer of its activated values, or what ``is_altered`` finds.
    """
    return getattr(layer, "activity_regularizer", None) is not None or is_altered(layer)


def is_altered(layer: Layer) -> bool:
    """Return whether a layer computes otherwise than its class: a replaced ``call``, quantized kernels, LoRA."""
    return (
        "call" in vars(layer)
        or getattr(layer, "quantization_mode", None) is not None
        or getattr(layer, "lora_enabled", False)
    )


def change(changes: ExitStack, layer: Layer, name: str, value: Any) -> None:
    """Set an attribute of a layer past Keras's tracking, until the context ends."""
    own = name in vars(layer)
    before = vars(layer).get(name)
    object.__setattr__(layer, name, value)
    changes.callback(object.__setattr__, layer, name, before) if own else changes.callback(
        object.__delattr__, layer, name
    )
