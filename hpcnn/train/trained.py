"""The trained network of a run, and its data as the training fed it: what pictures and predictions start from.

Reads a run directory and builds the network of its spec again, with the weights that ``--checkpoint`` kept. Must
not know what is drawn or printed.
"""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpcnn.data.dataset import DataSet
from hpcnn.data.structure import leaves
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.read import read_run
from hpcnn.rundir.trust import check_trusted
from hpcnn.specs.fields import from_mapping, to_mapping
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError, bad_value, not_there
from hpcnn.util.files import read_json
from hpcnn.util.types import Array, KerasModel, Tensor
from hpcnn.util.unreadable import UNREADABLE, check_archive
from hpcnn.util.user_code import own_code
from hpcnn.zoo.registry import in_numpy, is_zoo

# Samples that go through the network at once.
_BATCH, _VALUES = 500, 2**24


@dataclass(frozen=True, eq=False)
class Trained:
    """The network of a run after an epoch. ``spec`` is complete; ``data`` has the run's test samples."""

    run: RunDir
    spec: TrainSpec
    epoch: int
    model: KerasModel
    data: DataSet

    def inputs(self, samples: Array) -> Tensor:
        """Return samples of the data's form, (N, ...), as the training gave them to the network."""
        from hpcnn.train.feed import Form, fit_shape, pixel_factor, place, sample_shape

        fitted = fit_shape(samples, sample_shape(self.model, self.data))
        form = Form(pixel_factor(self.data, self.spec.pixel_scale), self.data.tokens)
        resident = place(fitted, np.zeros(len(fitted), np.int64), ("/CPU:0",), form)
        return resident.gather(0, np.arange(len(fitted)))[0]

    def probabilities(self, samples: Array) -> Array:
        """Return the probability of every class, (N, classes), as ``as_probabilities`` has it.

        Raises UsageError for a network that does not have one output a class.
        """
        parts = (samples[first : first + _BATCH] for first in range(0, len(samples), _BATCH))
        outputs = [self.model(self.inputs(part), training=False) for part in parts]
        if any(isinstance(output, (dict, list, tuple)) for output in outputs):
            raise UsageError(f"{self.spec.model}: a network with several outputs gives no single label")
        return as_probabilities(np.concatenate([np.asarray(output, np.float64) for output in outputs]), self)

    @property
    def batch(self) -> int:
        """Samples that go through the network at once: fewer of large ones."""
        values = int(sum(math.prod(part.shape[1:]) for part in leaves(self.data.x_test)))
        return max(min(_BATCH, _VALUES // max(values, 1)), 1)

    def maps(self, samples: Array) -> Array:
        """Return the class that the network gives each pixel of some samples, (N, H, W). At most ``batch`` of them.

        Raises UsageError for a network that does not have one output for each class of a pixel, or one for two.
        """
        from hpcnn.train.maps import classes_given, gives_classes, threshold_of

        output = self.model(self.inputs(samples), training=False)
        if isinstance(output, (dict, list, tuple)) or not gives_classes(output.shape, self.data.classes):
            raise UsageError(f"{self.spec.model}: its output is not one number for each of {self.data.classes} classes")
        threshold = threshold_of(self.model.loss if getattr(self.model, "compiled", False) else None)
        return np.asarray(classes_given(output, threshold))

    @property
    def what(self) -> str:
        """Return a title: run, model, data, epoch."""
        return f"{self.run.path.name}: {self.spec.model} on {short(self.spec.data)}, epoch {self.epoch}"

    @property
    def recorded_accuracy(self) -> float | None:
        """Return the test accuracy that the run recorded after this epoch, None for one that did not evaluate."""
        epochs = read_run(self.run.path).epochs
        found = (row.get("validation_accuracy") for row in epochs if (row["epoch"], row["rank"]) == (self.epoch, 0))
        return next(found, None)


def open_trained(
    run_dir: str | os.PathLike[str], epoch: int | None = None, *, precision: str | None = None, trust: bool = False
) -> Trained:
    """Return the network of a run after ``epoch`` (default: the last one that was kept), with its data.

    precision: of its arithmetic, instead of the training's. trust: import the functions that the run names although it
    is not the user's own, or was changed (``rundir.trust``).

    Raises UsageError for what is no run of hpcnn's own training, for a run or an epoch without a kept network, and
    where the network that its spec names now is not the one that was trained.
    """
    run = RunDir(run_dir)
    spec = spec_of(run, trust=trust)
    if precision is not None:
        spec = dataclasses.replace(spec, precision=precision)
    if in_numpy(spec.model):
        raise UsageError(
            f"RUN: {str(run.path)!r} trained {spec.model}, which is written in NumPy: `hpcnn plot` draws its curves "
            "and its decision-boundary; anything else needs a Keras network"
        )
    epoch, file = _checkpoint(run, epoch)

    from hpcnn.train.setup import build_network, prepare_keras
    from hpcnn.train.start import without_weights
    from hpcnn.util.extras import optional_module
    from hpcnn.util.tf_import import without_startup_messages

    optional_module("keras", "a trained network")
    data = _data_of(spec)
    with without_startup_messages(), _safe_mode(spec):
        prepare_keras(spec)
        model = build_network(without_weights(spec), data.input_shape, data.outputs)
    try:
        with warnings.catch_warnings():
            # the optimizer of a model that comes compiled has nothing to load into, and is not needed
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            check_archive(file)
            model.load_weights(file)
    except UNREADABLE as error:
        raise UsageError(
            f"{file}: these are not the weights of the network that {spec.model} builds now: {error}"
        ) from error
    return Trained(run, spec, epoch, model, data)


def new_network(target: str, *, trust: bool = False) -> tuple[KerasModel, str]:
    """Return the network of a run directory or of a model's name, with its initial weights, and what to call it.

    Raises UsageError for what is neither.
    """
    from hpcnn.models.registry import build
    from hpcnn.train.setup import build_network
    from hpcnn.train.start import without_weights
    from hpcnn.util.extras import optional_module
    from hpcnn.util.tf_import import without_startup_messages

    if not Path(target).is_dir() and not is_zoo(target) and ":" not in target:
        raise UsageError(f"RUN|MODEL: {target!r} is neither a run directory nor the name of a model")
    optional_module("keras", "a network")
    with without_startup_messages():
        if not Path(target).is_dir():
            return build(target), target
        run = RunDir(target)
        spec = spec_of(run, trust=trust)
        data = _data_of(spec)
        with _safe_mode(spec):
            network = build_network(without_weights(spec), data.input_shape, data.outputs)
    return network, f"{run.path.name}: {spec.model} on {short(spec.data)}"


def _data_of(spec: TrainSpec) -> DataSet:
    """Return the data of a run, with its test samples."""
    from hpcnn.data.registry import load, options_of_spec

    return load(
        spec.data,
        arguments=spec.data_args,
        test_samples=spec.test_samples,
        seed=spec.seed,
        options=options_of_spec(spec),
    )


def _safe_mode(spec: TrainSpec) -> AbstractContextManager[None]:
    """Keep Keras from running code that stands in an argument of a recorded network, as a Lambda layer's does.

    A function of the user's own, which is trusted by now, may use what it wants.
    """
    from keras.src.saving.serialization_lib import SafeModeScope

    scope: AbstractContextManager[None] = SafeModeScope(safe_mode=True)
    return nullcontext() if own_code(to_mapping(spec)) else scope


def short(data: str) -> str:
    """Return the name of a data set without the folders of its file."""
    return Path(data).name


def spec_of(run: RunDir, *, trust: bool = False) -> TrainSpec:
    """Return the complete spec of a run: what its record says was done, else what was asked.

    Raises UsageError, and does so for a run whose own functions are not to be imported without ``trust``.
    """
    asked = read_json(run.spec)
    if asked is None:
        raise not_there("RUN", str(run.path), f"a run directory (one with a {run.spec.name} in it)")
    done = (read_json(run.provenance) or {}).get("train")
    train = done or asked.get("train")
    if not train:
        raise UsageError(f"RUN: {str(run.path)!r} ran a program of its own; hpcnn does not know its network")

    spec = from_mapping(TrainSpec, train, where=f"{run.path.name}: ")
    if own := own_code(to_mapping(spec)):
        check_trusted(run, own, trust=trust)

    from hpcnn.specs.complete import complete

    return complete(spec)


def as_probabilities(outputs: Array, trained: Trained) -> Array:
    """Return a network's outputs, (N, classes), as numbers of 0..1 that sum to 1 over the classes.

    Softmax outputs are that already. Sigmoid outputs, each in 0..1 by itself, are divided by their sum; anything else
    is taken for logits, and goes through a softmax. One output for two classes is the second one's probability.
    Raises UsageError for any other number of outputs.
    """
    if trained.data.multi_label:
        raise UsageError(f"{trained.spec.data}: its samples have several labels each, and this needs one class of each")
    if trained.data.is_map:
        raise UsageError(
            f"{trained.spec.data}: has a class for each pixel, and this needs one class of each sample; "
            "`hpcnn plot segmentation` shows maps"
        )
    classes = trained.data.classes
    if outputs.ndim == 2 and outputs.shape[1] == 1 and classes == 2:
        second = outputs if _in_unit(outputs) else 1 / (1 + np.exp(-outputs))
        return np.hstack([1 - second, second])
    if outputs.ndim != 2 or outputs.shape[1] != classes:
        shape = "x".join(map(str, outputs.shape[1:])) or "one number"
        raise UsageError(f"{trained.spec.model}: its output ({shape}) is not one number for each of {classes} classes")
    if not _in_unit(outputs):
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    sums = outputs.sum(axis=1, keepdims=True)
    return outputs / np.where(sums > 0, sums, 1)  # of all zeros, none is a label more than another


def _in_unit(values: Array) -> bool:
    return bool(values.min() >= 0 and values.max() <= 1)


def _checkpoint(run: RunDir, epoch: int | None) -> tuple[int, Path]:
    kept = run.networks()
    if not kept:
        raise UsageError(
            f"RUN: {str(run.path)!r} has no trained network: there is no {run.checkpoints.name}/epoch-NNN.keras. "
            "Train with --checkpoint, which keeps the network of every epoch"
        )
    attempt = (read_json(run.provenance) or {}).get("attempt")
    if attempt is not None and (read_json(run.attempt_of_networks) or {}).get("attempt") != attempt:
        raise UsageError(
            f"RUN: the networks in {str(run.checkpoints)!r} are not of the attempt that {run.provenance.name} records: "
            f"{run.attempt_of_networks.name} there names another one, or none"
        )
    if epoch is not None and epoch not in kept:
        raise bad_value("--epoch", epoch, f"an epoch whose network was kept: {_ranges(list(kept))}")
    chosen = max(kept) if epoch is None else epoch
    return chosen, kept[chosen]


def _ranges(numbers: list[int]) -> str:
    """Write sorted numbers as 1-3, 7."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
