"""The Keras callbacks that options ask for. Only rank 0 writes logs and checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.parallel.base import Strategy
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.train import TrainSpec

if TYPE_CHECKING:
    import keras


def callbacks_of(spec: TrainSpec, run: RunDir, strategy: Strategy) -> list[keras.callbacks.Callback]:
    """Return this rank's Keras callbacks for the options of a spec: TensorBoard, checkpoints."""
    import keras

    if not strategy.is_chief:
        return []
    callbacks: list[keras.callbacks.Callback] = []
    if spec.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(str(run.tensorboard), histogram_freq=1))
    if spec.checkpoint:
        from hpcnn.train.best import KeepEvery

        callbacks.append(KeepEvery(run))
    if spec.checkpoint_best:
        from hpcnn.train.best import KeepBest

        callbacks.append(KeepBest(run))
    return callbacks
