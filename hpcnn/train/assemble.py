"""Assembles what a loop trains from a resolved spec: data on the devices, the network, compiled steps.

Read top-down. Must not write records or print.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.data.dataset import DataSet
from hpcnn.data.labels import IMAGES
from hpcnn.data.registry import load_of
from hpcnn.data.stream.given import has_numbers
from hpcnn.data.stream.streamed import StreamedSet
from hpcnn.data.structure import leaves
from hpcnn.models.work import work_of
from hpcnn.parallel.base import Strategy
from hpcnn.specs.train import TrainSpec
from hpcnn.train.augment import augmentation_of, change_of_labels
from hpcnn.train.class_weights import class_weights
from hpcnn.train.dropout import draw_own_masks
from hpcnn.train.factors import allreduce_bytes, messages
from hpcnn.train.feed import (
    Form,
    Resident,
    fit_shape,
    one_hot_sizes,
    pixel_factor,
    place,
    sample_shape,
    target_shape,
)
from hpcnn.train.local_copy import on_local_disk
from hpcnn.train.losses import check_loss, check_output
from hpcnn.train.maps import Maps
from hpcnn.train.node_order import Parts
from hpcnn.train.order import Order, order_of
from hpcnn.train.own_step import OwnStep, has_own_step
from hpcnn.train.parts import parts_line, parts_of
from hpcnn.train.plan import steps_per_epoch
from hpcnn.train.same_data import check_same_data
from hpcnn.train.setup import check_batch, check_target, make_model, prepare_keras, trainable_parameters
from hpcnn.train.staged import say_staged
from hpcnn.train.start import frozen, origin_of, without_weights
from hpcnn.train.state import State, optimizers_of
from hpcnn.train.steps import Steps
from hpcnn.train.streamed import stream
from hpcnn.util.types import Json, KerasModel
from hpcnn.zoo.forms import form_of as form_of_data

if TYPE_CHECKING:
    import keras

TEST_BATCH = 1000
_TEST_VALUES = 2**26


@dataclass(frozen=True)
class Assembled:
    """A compiled model with its data. ``batch`` is the global batch size, never more than there are samples."""

    model: KerasModel
    data: DataSet
    steps: Steps
    batch: int
    callbacks: list[keras.callbacks.Callback]
    """Keras callbacks that the input needs."""
    origin: dict[str, Json] | None = None
    """The file whose weights it started from; None for a start anew, and for an attempt that goes on."""
    class_weights: list[float] | None = None
    """What the losses of each class are multiplied by; None for nothing."""
    parts: Parts | None = None
    """The samples of each node, where each has its own (``--shuffle node:N``)."""

    @property
    def samples(self) -> int:
        """Training samples of an epoch."""
        return self.data.samples

    @property
    def test_batch(self) -> int:
        """Samples of a batch of an evaluation: fewer of large ones."""
        values: int = sum(math.prod(part.shape[1:]) for part in leaves(self.data.x_train))
        return int(max(min(TEST_BATCH, _TEST_VALUES // max(values, 1)), 1))

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch."""
        return steps_per_epoch(self.samples, self.batch)

    def order(self, spec: TrainSpec, epoch: int) -> Order:
        """Return the order of the samples in an epoch (from 1)."""
        if self.parts is not None:
            return self.parts.order(epoch)
        shuffle = spec.shuffle if has_numbers(self.data) else "none"
        return order_of(self.samples, spec.seed, epoch, shuffle, table=form_of_data(spec.data) is None)


def assemble(
    spec: TrainSpec,
    strategy: Strategy,
    state: State | None,
    mark: Callable[..., object],
    say: Callable[[str], object],
    run: Path = Path(),
) -> Assembled:
    """Load the data, build and compile the network, and give every rank the same weights.

    spec: resolved. state: where an earlier attempt stopped. mark: called with ``data_stop`` and ``model_stop`` when the
    data and the model are ready. run: the run directory. say: takes a line for people.
    Raises UsageError for a network, data and options that do not go together.
    """
    assert spec.batch_size is not None
    data = load_of(spec)
    mark("data_stop")
    say_staged(strategy, mark, say)
    for note in data.told:
        say(f"{spec.data}: {note}")
    batch = min(spec.batch_size, data.samples)
    check_batch(spec, data.samples, strategy.size)
    parts = parts_of(spec, data, batch, strategy)
    if parts:
        say(parts_line(parts))
    check_same_data(data, strategy)
    if spec.cache == "local-disk":
        own = parts.parts[strategy.node] if parts else None
        data, copied, seconds = on_local_disk(data, strategy, run, own)
        say(f"copied {copied:,} training samples to this node's disk in {seconds:.1f} s")
        mark("copied_to_local_disk", seconds, samples=copied)
    if not has_numbers(data):
        say(f"the elements of {spec.data} come in the dataset's own order: --shuffle does not touch them")
    prepare_keras(spec)
    check_loss(spec, data)
    origin = None if state else origin_of(spec)
    # an earlier attempt's state has all weights, and the file may be gone
    started = without_weights(spec) if state else spec
    model = make_model(started, strategy, data, steps_per_epoch(data.samples, batch), say)
    check_output(spec, model, data)
    if origin:
        say(f"starting from {origin['file']} (SHA-256 {origin['sha256']})")
    draw_own_masks(model, strategy)
    training, test = _on_devices(spec, model, data, strategy)
    own_step = OwnStep(model, training, strategy) if has_own_step(model) else None
    if state:
        state.restore(model)
    of_optimizers = [v.value for optimizer in optimizers_of(model) for v in optimizer.variables]
    strategy.broadcast([v.value for v in model.weights] + of_optimizers)
    mark("model_stop")
    augmentation = augmentation_of(spec, data, training.features[0], strategy.devices)
    changed = dataclasses.replace(
        training, change=augmentation, change_labels=change_of_labels(augmentation, data) if augmentation else None
    )
    steps = Steps(model, strategy, changed, test, batch, own_step)
    if steps.no_test:
        say(f"no test: {steps.no_test}")
    check_target(spec, steps.metrics)
    of_classes = training.form.class_weights
    return Assembled(
        model,
        data,
        steps,
        batch,
        [augmentation] if augmentation else [],
        origin,
        None if of_classes is None else of_classes.tolist(),
        parts,
    )


def facts(
    spec: TrainSpec, assembled: Assembled, strategy: Strategy, earlier: Mapping[str, Json] | None
) -> dict[str, Json]:
    """Return what the record says of the network: its size, its start, and the operations and bytes of a step.

    earlier: provenance of the attempt that this one goes on with, which knows the start.
    """
    model, factored = assembled.model, assembled.steps.factored
    trainable = trainable_parameters(model)
    return {
        "parameters": model.count_params(),
        "trainable": trainable,
        "tensors": len(model.trainable_weights),
        "name": spec.model,
        "weights": assembled.origin or ((earlier or {}).get("model") or {}).get("weights"),
        "frozen": frozen(model),
        "class_weights": assembled.class_weights,
        "factored": [layer.name for layer in factored],
        "rewrites": assembled.steps.rewrites,
        "allreduce_bytes": allreduce_bytes(trainable, factored, assembled.batch),
        "messages": messages(strategy, model, factored),
        **work_of(model).facts(spec.precision),
    }


def form_of(spec: TrainSpec, model: KerasModel, data: DataSet) -> Form:
    """Return what slices of a data set go through on their way into a model and its loss."""
    factor = pixel_factor(data, spec.pixel_scale)
    sizes = one_hot_sizes(model, data.classes, came_so=data.one_hot)
    if data.is_map:
        return Form(factor, data.tokens, sizes, maps=Maps(data.classes, data.ignore_label, one_hot=sizes is not None))
    return Form(
        factor,
        data.tokens,
        sizes,
        target_factor=(factor or 1.0) if data.kind == IMAGES else None,
        target_shape=target_shape(model, data),
    )


def _on_devices(spec: TrainSpec, model: KerasModel, data: DataSet, strategy: Strategy) -> tuple[Resident, Resident]:
    """Return training and test samples, a copy on each device, as the model and its loss want them."""
    shape = sample_shape(model, data)
    form = form_of(spec, model, data)
    weighted = dataclasses.replace(form, class_weights=class_weights(spec.class_weight, data, strategy))
    if isinstance(data, StreamedSet):
        here = len(strategy.devices)
        return stream(data.x_train, shape, here, weighted), stream(data.x_test, shape, here, form)
    return (
        place(fit_shape(data.x_train, shape), data.y_train, strategy.devices, weighted, data.train_weights),
        place(fit_shape(data.x_test, shape), data.y_test, strategy.devices, form, data.test_weights),
    )
