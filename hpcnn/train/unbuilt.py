"""Builds a model that ``fit`` would build in its first step, from the data of that ``fit``.

Keras makes the weights of a model without an ``Input`` when it traces the first step. Ranks have to start from common
weights before that.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import keras

from hpcnn.util.errors import UsageError


def build_from_fit(model: Any) -> None:
    """Build the model and its optimizer, if a callback calls this in ``on_train_begin``.

    Raises UsageError where the data of ``fit`` cannot be found.
    """
    if all(layer.built for layer in model._flatten_layers()):
        return
    iterator = _iterator_of_fit(model)
    dataset = getattr(iterator, "_distributed_dataset", None)
    if dataset is None:
        raise UsageError(
            f"model {model.name!r} has no weights yet, so the ranks cannot start from common ones: begin it with "
            "keras.Input(shape), or call model.build((None, *shape)) before fit()"
        )
    batch = keras.tree.map_structure(
        lambda spec: keras.KerasTensor(tuple(spec.shape), keras.backend.standardize_dtype(spec.dtype)),
        dataset.element_spec,
    )
    model._symbolic_build(data_batch=batch)


def _iterator_of_fit(model: Any) -> Any:
    """Return what ``fit`` takes its batches from: Keras gives callbacks no way to it but the stack."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return frame.f_locals.get("epoch_iterator")
        frame = frame.f_back
    return None
