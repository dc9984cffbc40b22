"""A training of a network in NumPy, from a spec to a closed record: the same files as of any other run.

What ``hpcnn.train.run`` calls instead of opening a strategy: one process, no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hpcnn.data.registry import load as load_data
from hpcnn.models.numpy.costs import Array
from hpcnn.models.numpy.networks import Network
from hpcnn.models.registry import build_numpy
from hpcnn.parallel.base import TaskEnvironment
from hpcnn.parallel.serial import SingleReplica, check_alone
from hpcnn.rundir.layout import STOPPED_EXIT_STATUS, RunDir
from hpcnn.specs.complete import complete
from hpcnn.specs.fields import to_mapping
from hpcnn.specs.numpy_options import check_options
from hpcnn.specs.train import TrainSpec
from hpcnn.train import state
from hpcnn.train.console import epoch_line, last_line, resumed_line, stopped_line
from hpcnn.train.numpy import weights
from hpcnn.train.numpy.descent import Best, Descent, Score, score
from hpcnn.train.plan import steps_per_epoch
from hpcnn.train.record import Record
from hpcnn.train.state import Position, State
from hpcnn.train.stop import StopRequest
from hpcnn.util.errors import UsageError
from hpcnn.util.extras import optional_module

# Lines for people: the lecture prints 10 or 20 of its 10,000 or 20,000 epochs.
_LINES = 10
# An epoch takes a millisecond or less: with --resume, the state is written no more often than this.
_SECONDS_BETWEEN_STATES = 5.0


def train_in_numpy(spec: TrainSpec, run_dir: str, say: Callable[[str], None], *, resume: bool = False) -> bool:
    """Train, and write the record. Arguments, result and errors as of ``hpcnn.train.run.train``.

    The result is that of the best weights, which are kept in ``weights.npz``; every epoch's figures are its own.
    """
    check_options(spec)
    task = TaskEnvironment.read(os.environ)
    check_alone(task)
    # These products are too small to share: a second thread saves a tenth of the time of 500 digits on idle cores,
    # and on busy ones the threads wait for each other (measured: 211 s instead of 34 s).
    limits = optional_module("threadpoolctl", "training in NumPy").threadpool_limits
    with limits(task.cpus_per_task or 1):
        return _train(spec, run_dir, say, resume=resume)


def _train(spec: TrainSpec, run_dir: str, say: Callable[[str], None], *, resume: bool) -> bool:
    strategy = SingleReplica()
    data = load_data(
        spec.data,
        arguments=spec.data_args,
        samples=spec.samples,
        test_samples=spec.test_samples,
        expand=spec.expand,
        seed=spec.seed,
    )
    batch = min(spec.batch_size or len(data.x_train), len(data.x_train))
    full = complete(dataclasses.replace(spec, batch_size=batch))
    assert full.epochs is not None
    assert full.learning_rate is not None
    found = state.load(RunDir(run_dir).state, strategy, to_mapping(full)) if resume else None
    start = found.position if found else None
    record = Record(run_dir, strategy, resume=resume, go_on=start)
    record.spec({"name": full.model, "site": None, "resources": {"ntasks": 1}, "train": to_mapping(spec)})
    network = make_network(full, data.input_shape, data.classes)
    scale = data.pixel_scale if full.pixel_scale == "unit" else 1.0
    x_train, x_test = features(data.x_train, scale), features(data.x_test, scale)
    descent = Descent(
        network, x_train, data.y_train, learning_rate=full.learning_rate, batch_size=batch, seed=full.seed
    )
    if found:
        _restore(descent, found)
    record.provenance(
        "CPU",
        train=to_mapping(full),
        global_batch_size=batch,
        samples=len(x_train),
        model={"parameters": network.parameters, "trainable": network.parameters, "name": full.model},
    )
    say(_first_line(full, network, len(x_train), batch))
    if start:
        say(resumed_line(start))
    record.event("init_stop")
    with StopRequest(record.run.stop, strategy) as stop:
        training = Training(full, descent, record, x_test, data.y_test, stop, steps_per_epoch(len(x_train), batch), say)
        reached = training.fit(start or Position(), keeps=resume)
        if reached.stopped:
            training.keep(reached.stopped)
            reason = stopped_line(reached.stopped, training.steps, stop.reason())
            record.finish("interrupted", exit_code=STOPPED_EXIT_STATUS, reason=reason, epochs=reached.epochs)
            record.run.stop.unlink(missing_ok=True)
            say(reason)
            return False
    best = descent.best
    weights.save(record.run, best.weights)
    network.weights = best.weights
    test = dataclasses.asdict(training.evaluate())
    record.run.state.unlink(missing_ok=True)
    record.finish(
        "completed",
        exit_code=0,
        reason=None,
        epochs=reached.epochs,
        test=test,
        test_samples=len(x_test),
        training_set=dataclasses.asdict(best.score),
        target_accuracy=full.target_accuracy,
        seconds_to_target=reached.seconds_to_target,
        training=True,
    )
    say(f"best weights: of epoch {best.epoch}, training accuracy {best.score.accuracy:.4f}")
    say(last_line(test, len(x_test)))
    return True


def make_network(spec: TrainSpec, input_shape: tuple[int, ...], classes: int) -> Network:
    """Return the network of a complete spec for samples of a shape, in the precision of every run: float32."""
    network = build_numpy(
        spec.model,
        input_shape=input_shape,
        classes=classes,
        arguments=spec.model_args,
        loss=spec.loss,
        seed=spec.seed,
    )
    return network.astype(np.float32)


def features(x: Array, scale: float) -> Array:
    """Return samples as rows of float32 numbers, (n, d), divided by ``scale``."""
    rows: Array = x.reshape(len(x), -1).astype(np.float32) / np.float32(scale)
    return rows


@dataclasses.dataclass
class Reached:
    """How far a training has come. ``stopped``: where, if it was asked to stop."""

    epochs: int = 0
    seconds_to_target: float | None = None
    stopped: Position | None = None


class Training:
    """The epochs of one training with their clock and their record."""

    def __init__(
        self,
        spec: TrainSpec,
        descent: Descent,
        record: Record,
        x_test: Array,
        y_test: Array,
        stop: StopRequest,
        steps: int,
        say: Callable[[str], None],
    ) -> None:
        self.spec, self.descent, self.record, self.stop = spec, descent, record, stop
        self.x_test, self.y_test = x_test, y_test
        self.steps, self.say = steps, say

    def fit(self, start: Position, *, keeps: bool) -> Reached:
        """Train from ``start`` to the last epoch, the target, or a request to stop. keeps: write the state at times."""
        epochs, target = self.spec.epochs or 0, self.spec.target_accuracy
        reached = Reached(start.epoch - 1)
        self.record.event("run_start")
        self._begun, kept = time.monotonic() - start.elapsed, time.monotonic()
        for epoch in range(start.epoch, epochs + 1):
            line = self._epoch(epoch, resumed=start.resumed and epoch == start.epoch)
            reached.epochs = epoch
            if epoch == 1 or epoch % max(epochs // _LINES, 1) == 0:
                self.say(epoch_line(line, epochs))
            if target is not None and line["validation"]["accuracy"] >= target:
                reached.seconds_to_target = time.monotonic() - self._begun
                self.record.event("target_reached", target, epoch=epoch)
                break
            after = Position(epoch + 1, elapsed=self.record.elapsed)
            if epoch < epochs and self.stop.agreed(line["seconds_total"])[0]:
                reached.stopped = after
                break
            if keeps and time.monotonic() - kept > _SECONDS_BETWEEN_STATES:
                self.keep(after)
                kept = time.monotonic()
        return reached

    def evaluate(self) -> Score:
        """Return how the network does on the test set."""
        network = self.descent.network
        return score(network, network.forward(self.x_test), self.y_test)

    def keep(self, position: Position) -> None:
        """Write what another attempt needs to go on."""
        best = self.descent.best
        values = [
            *self.descent.network.weights.values(),
            *best.weights.values(),
            np.array([best.epoch, best.score.loss, best.score.accuracy]),
        ]
        state.save(self.record.run.state, values, SingleReplica(), position, to_mapping(self.spec))

    def _epoch(self, epoch: int, *, resumed: bool) -> dict[str, Any]:
        """Train one epoch, evaluate, and record it; return its record."""
        self.record.event("epoch_start", epoch)
        begin = time.monotonic()
        found = self.descent.epoch(epoch)
        seconds = time.monotonic() - begin
        validation, seconds_evaluation = None, None
        if self.spec.evaluate:
            begin = time.monotonic()
            self.record.event("eval_start", epoch)
            validation = dataclasses.asdict(self.evaluate())
            seconds_evaluation = time.monotonic() - begin
            self.record.event("eval_stop", epoch, **validation)
        self.record.event("epoch_stop", epoch)
        line = {
            "epoch": epoch,
            "seconds_total": seconds,
            "seconds_input": 0.0,
            "seconds_compute": seconds,
            "seconds_communication": 0.0,
            "seconds_other": 0.0,
            "seconds_evaluation": seconds_evaluation,
            "samples": self.descent.samples,
            "steps": self.steps,
            "loss": found.loss,
            "metrics": {"accuracy": found.accuracy},
            "validation": validation,
            "learning_rate": self.spec.learning_rate,
            "seconds_since_start": time.monotonic() - self._begun,
            **({"resumed": True} if resumed else {}),
        }
        self.record.epoch(line)
        return line


def _restore(descent: Descent, found: State) -> None:
    """Go on with the weights of an earlier attempt, in the order in which ``Training.keep`` writes them."""
    own = descent.network.weights
    *values, (epoch, loss, accuracy) = found.variables
    if [value.shape for value in values] != 2 * [w.shape for w in own.values()]:
        raise UsageError("--resume: the state is of another model: its variables have other shapes")
    now, best = values[: len(own)], values[len(own) :]
    descent.go_on(
        dict(zip(own, now, strict=True)),
        Best(int(epoch), Score(float(loss), float(accuracy)), dict(zip(own, best, strict=True))),
    )


def _first_line(spec: TrainSpec, network: Network, samples: int, batch: int) -> str:
    """Return what is trained on what."""
    return (
        f"{spec.model} ({network.parameters:,} parameters) on {spec.data}, {samples:,} samples, batch size {batch}, "
        f"gradient descent in NumPy, learning rate {spec.learning_rate:g}, float32"
    )
