"""Keeps networks in the run directory: of every epoch, or of the best epoch so far alone. For rank 0 alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras

from hpcnn.rundir.layout import CHECKPOINT_NAME, SCHEMA_VERSION, RunDir
from hpcnn.util.files import make_folder, read_json, read_lines, replacing, write_json
from hpcnn.util.types import KerasModel


class KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes ``checkpoints/epoch-NNN.keras`` when an epoch is better than all before it, and removes the one before.

    Better is a higher test accuracy; of a model without accuracy, a lower test loss. Of equal epochs the first is kept.
    A resumed run goes on from the epochs that it has recorded.
    """

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self._run = run
        self._best = -float("inf")

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Take up what an earlier attempt has reached."""
        begin_networks(self._run)
        files = [file for file in self._run.epochs_of_rank_0() if file.exists()]
        earlier = [line.get("validation") for file in files for line in read_lines(file)]
        self._best = max((_merit(validation) for validation in earlier if validation), default=self._best)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep this epoch's network if it is the best; the older file goes once the new one is whole."""
        validation = {key: value for key, value in (logs or {}).items() if key.startswith("val_")}
        merit = _merit({key.removeprefix("val_"): value for key, value in validation.items()})
        if merit <= self._best:
            return
        self._best = merit
        older = self._run.networks()
        save_network(self.model, self._run.checkpoints / CHECKPOINT_NAME.format(epoch=epoch + 1))
        for number, file in older.items():
            if number != epoch + 1:
                file.unlink()


class KeepEvery(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes ``checkpoints/epoch-NNN.keras`` after every epoch."""

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self._run = run

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Say whose networks these are."""
        begin_networks(self._run)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep this epoch's network."""
        save_network(self.model, self._run.checkpoints / CHECKPOINT_NAME.format(epoch=epoch + 1))


def begin_networks(run: RunDir) -> None:
    """Make the folder of the networks of an attempt, which has written its provenance; name the attempt in it."""
    make_folder(run.checkpoints)
    attempt = (read_json(run.provenance) or {}).get("attempt")
    write_json(run.attempt_of_networks, {"schema": SCHEMA_VERSION, "attempt": attempt}, folders=False)


def save_network(model: KerasModel, file: Path) -> None:
    """Write a network whole: a kill while Keras writes leaves the earlier file, or none."""
    with replacing(file, suffix=".keras") as new:
        model.save(new)


def _merit(validation: Mapping[str, float | None]) -> float:
    """Return a number that is larger the better an epoch is; -inf for one that diverged (null in the record)."""
    accuracy, loss = validation.get("accuracy"), validation.get("loss")
    if "accuracy" in validation:
        return -float("inf") if accuracy is None else accuracy
    return -float("inf") if loss is None or loss != loss else -loss
