"""The way into float16's loss scaling: which optimizer has the rule and its settings. Must not import Keras."""

from __future__ import annotations

from typing import Any

from hpcnn.util.types import Optimizer


def unscaled(optimizer: Optimizer) -> Any:
    """Return the optimizer inside Keras's LossScaleOptimizer, or the optimizer itself where there is none."""
    return getattr(optimizer, "inner_optimizer", optimizer)
