"""Titles of figures of a trained network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpcnn.train.trained import Trained


def title_of(trained: Trained, before_accuracy: str = ": ") -> str:
    """Return run, model, data and epoch, and the test accuracy that the run recorded."""
    accuracy = trained.recorded_accuracy
    return trained.what if accuracy is None else f"{trained.what}{before_accuracy}test accuracy {accuracy:.2%}"
