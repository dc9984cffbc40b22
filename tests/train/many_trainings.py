"""A program of ranks: trains several cases under one strategy, so that TensorFlow is loaded once for all of them.

``python -m tests.train.many_trainings STRATEGY FOLDER CASE...`` trains each case into FOLDER/CASE as ``hpcnn train``
does, with every replica's own last weights besides; the case ``masks`` writes dropout masks instead. A case ``CASE~``
is stopped and resumed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import hpcnn.train.callbacks
from hpcnn.parallel import open_strategy
from hpcnn.parallel.base import Strategy, TaskEnvironment
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.train import TrainSpec
from hpcnn.train.failure import end_failed
from tests.train.cases import CASES, IS_LONG

MASKS = "masks"
STOPPED = "~"
FEATURES, DRAWS = 1000, 2


def main(name: str, folder: str, *cases: str) -> None:
    devices = 2 if name == "mirrored" else None
    task = TaskEnvironment(int(os.environ["HPCNN_WORLD_SIZE"]), cpus_per_task=1, devices=devices)
    train_cases(open_strategy(name, task), Path(folder), cases)


def train_cases(strategy: Strategy, folder: Path, cases: Sequence[str]) -> None:
    from hpcnn.train.session import train_under

    for case in cases:
        run = RunDir(folder / case)
        run.create()
        try:
            if case == MASKS:
                draw_masks(strategy, run.path)
            elif case.endswith(STOPPED):
                hpcnn.train.callbacks.callbacks_of = _callbacks_of  # or it would write to the last case's folder
                stop_and_resume(strategy, run, replace(CASES[case.removesuffix(STOPPED)], strategy=strategy.name))
            else:
                keep_every_replicas_weights(strategy, run.path)
                train_under(strategy, replace(CASES[case], strategy=strategy.name), str(run.path))
        except BaseException as error:
            end_failed(run, strategy, error)
            raise


def stop_and_resume(strategy: Strategy, run: RunDir, spec: TrainSpec) -> None:
    """Train to the end, stopping twice in the first epoch: between its steps, and after them before the evaluation.

    For `make test-long`, stop in every epoch. Rank 0 counts the attempts in the file ``attempts``.
    """
    import keras

    from hpcnn.train.session import train_under

    attempts, ended = 0, False
    while not ended:
        keras.backend.clear_session()
        if strategy.is_chief and (attempts < 2 or IS_LONG):
            run.stop.write_text("a test")
        strategy.barrier()
        attempts += 1
        ended = train_under(strategy, spec, str(run.path), resume=True)
    if strategy.is_chief:
        (run.path / "attempts").write_text(str(attempts))


def keep_every_replicas_weights(strategy: Strategy, folder: Path) -> None:
    """Add a callback on every rank that writes weights.N.npz for its replicas: hpcnn itself saves those of rank 0."""
    import keras

    class KeepWeights(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_end(self, logs: Any = None) -> None:
            variables = [weight.value for weight in self.model.weights]
            copies = [getattr(variable, "values", [variable]) for variable in variables]
            for number, replica in enumerate(strategy.replicas):
                np.savez(folder / f"weights.{replica}.npz", *(copy[number].numpy() for copy in copies))

    keras.backend.clear_session()
    hpcnn.train.callbacks.callbacks_of = lambda *facts: [*_callbacks_of(*facts), KeepWeights()]


_callbacks_of = hpcnn.train.callbacks.callbacks_of


def draw_masks(strategy: Strategy, folder: Path) -> None:
    """Write what dropout leaves of ones: shape (draws, replicas of this process, features)."""
    import keras
    import tensorflow as tf

    from hpcnn.train.dropout import draw_own_masks

    keras.utils.set_random_seed(5)
    with strategy.scope():
        model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dropout(0.5, dtype="float32")])
    draw_own_masks(model, strategy)
    ones = tf.ones((1, FEATURES))

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def draw() -> Any:
        return strategy.run(lambda: model(ones, training=True), ())

    masks = [[mask.numpy()[0] for mask in draw()] for _ in range(DRAWS)]
    np.save(folder / f"rank{strategy.rank}.npy", np.array(masks))


if __name__ == "__main__":
    main(*sys.argv[1:])
