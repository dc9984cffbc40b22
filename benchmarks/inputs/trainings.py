"""Epochs of trainings that are compiled once and then go on whenever they are asked, on data in memory and on disk."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import keras

from hpcnn.parallel.base import Strategy
from hpcnn.specs.fields import to_mapping
from hpcnn.specs.train import TrainSpec
from hpcnn.train.loop import Loop
from hpcnn.train.session import open_context
from hpcnn.train.state import Position
from inputs.common import BATCH, CHUNK
from inputs.forms import WHOLE, order_to_read, written

IN_MEMORY = "in memory"
# Samples of an epoch of some seconds.
_EPOCHS = {
    "psc-cnn-dropout": (TrainSpec(model="psc-cnn-dropout", batch_size=BATCH), 48 * BATCH, (28, 28)),
    "resnet20": (
        TrainSpec(model="wolter-cifar10-resnet110", model_args={"depth": 20}, batch_size=64),
        12 * 64,
        (32, 32, 3),
    ),
}
NETWORKS = tuple(_EPOCHS)
_numbers = itertools.count()


class Epochs:
    """One training: each call is an epoch more, of which the clock is that of the record."""

    def __init__(self, spec: TrainSpec, strategy: Strategy, folder: Path) -> None:
        """Load the data and build the network; the first call traces the steps."""
        self._loop = Loop(replace(spec, epochs=10_000, evaluate=False, seed=1))
        run = str(folder / f"run-{next(_numbers)}")
        context = open_context(strategy, run, to_mapping(self._loop.spec), lambda line: None, resume=False)
        self._loop.assemble(context)
        self._hooks = keras.callbacks.CallbackList(model=self._loop.model)
        self._epoch = 0

    def __call__(self) -> float:
        """Train one epoch; return its samples a second."""
        self._epoch += 1
        sums, seconds = self._loop._train_epoch(self._epoch, self._hooks, Position(self._epoch))
        return float(sums.samples) / seconds


def trainings(network: str, strategy: Strategy, folder: Path, *, smoke: bool) -> dict[str, Epochs]:
    """Return trainings of a network on the same set: in memory, and streamed from each form."""
    spec, samples, shape = _EPOCHS[network]
    names = written(folder / network, spec.batch_size * 3 if smoke else samples, shape, ("npy", "h5"))  # type: ignore[operator]
    specs = {IN_MEMORY: replace(spec, data=names["npy"], cache="memory")}
    specs |= {form: replace(spec, data=names[form], cache="none") for form in ("npy", WHOLE)}
    specs["h5"] = replace(spec, data=names["h5"], cache="none", shuffle=order_to_read(CHUNK))
    return {way: Epochs(one, strategy, folder) for way, one in specs.items()}
