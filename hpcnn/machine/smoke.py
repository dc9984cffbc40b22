"""The smoke test for CI: a small training gives the same weights serially and on several Horovod ranks.

Runs everything that users run: job scripts, mpirun, Horovod, run directories. Compares the weights in the checkpoint
files.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpcnn.jobs.submit import prepare, submit
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import RunError
from hpcnn.util.types import Array

# The recipe: scikit-learn's real digits, the lectures' one-convolution network, pixels 0 to 1.
EPOCHS = 3
_RECIPE = TrainSpec(
    model="scinet-cnn1",
    data="digits",
    epochs=EPOCHS,
    batch_size=100,  # 1437 samples: neither the batches nor the last of them divide evenly
    learning_rate=0.1,
    pixel_scale="unit",
    checkpoint=True,
)
# Rounding in float32 depends on the order of summation: measured differences of weights are up to 1e-6, those of a
# missing reduction 1e-3 and more.
TOLERANCE = 5e-5
MINIMUM_ACCURACY = 0.8


@dataclass(frozen=True)
class Outcome:
    """The comparison: the largest difference of any weight, and the test accuracies."""

    difference: float
    serial_accuracy: float
    parallel_accuracy: float

    @property
    def agrees(self) -> bool:
        """Return whether the two trainings are equal to rounding, and reached an accuracy."""
        return self.difference <= TOLERANCE and min(self.serial_accuracy, self.parallel_accuracy) >= MINIMUM_ACCURACY


def smoke(folder: Path, ntasks: int, log: Callable[[str], None] | None = None) -> Outcome:
    """Train serially and with ``ntasks`` Horovod ranks below ``folder``, and compare the two.

    log: gets the lines of their output. Raises RunError, naming the run directory, if a training does not complete.
    """
    serial = _train(folder / "serial", "serial", 1, log)
    parallel = _train(folder / f"horovod-{ntasks}", "horovod", ntasks, log)
    ours, theirs = weights(_checkpoint(serial)), weights(_checkpoint(parallel))
    if ours.keys() != theirs.keys():
        raise RunError("the two checkpoints do not hold the same weights: was the code changed in between?")
    difference = max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours)
    return Outcome(difference, _accuracy(serial), _accuracy(parallel))


def weights(checkpoint: Path) -> dict[str, Array]:
    """Read path -> float32 array of every layer's weights in a ``.keras`` file, without the optimizer's.

    Layers stand below ``layers``; those of a model that is a class of its own, below the names of its attributes.
    """
    import h5py

    found: dict[str, Array] = {}

    def collect(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer/"):
            found[name] = np.asarray(item)

    with (
        zipfile.ZipFile(checkpoint) as archive,
        h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file,
    ):
        file.visititems(collect)
    return found


def _train(path: Path, strategy: str, ntasks: int, log: Callable[[str], None] | None) -> Path:
    train = replace(_RECIPE, strategy=strategy)
    job = JobSpec("smoke", "local", Resources(ntasks=ntasks, cpus_per_task=1), train)
    prepared = prepare(job, path)
    code = submit(prepared, log)
    if code:
        reason = (prepared.run.read_result() or {}).get("reason")
        raise RunError(f"the {strategy} run ended with exit status {code}: {reason}\nlog: {prepared.run.log}")
    return path


def _checkpoint(path: Path) -> Path:
    return path / "checkpoints" / f"epoch-{EPOCHS:03d}.keras"


def _accuracy(path: Path) -> float:
    from hpcnn.rundir.layout import RunDir

    result = RunDir(path).read_result() or {}
    return float((result.get("test") or {}).get("accuracy", 0.0))
