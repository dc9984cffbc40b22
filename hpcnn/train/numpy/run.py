"""The training of a network in NumPy: one process, no TensorFlow, the same record as of any other training."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator

import numpy as np

from hpcnn.data.registry import load_of
from hpcnn.models.numpy.networks import Network
from hpcnn.models.registry import build_numpy
from hpcnn.parallel.base import TaskEnvironment
from hpcnn.parallel.serial import SingleReplica, check_one_process
from hpcnn.rundir.progress import ProgressWriter
from hpcnn.specs.complete import complete
from hpcnn.specs.fields import to_mapping
from hpcnn.specs.numpy_options import check_options
from hpcnn.specs.train import TrainSpec
from hpcnn.train.console import epoch_line, last_line
from hpcnn.train.context import Context, Progress, Results
from hpcnn.train.numpy import weights
from hpcnn.train.numpy.descent import Best, Descent, Score, score
from hpcnn.train.plan import steps_per_epoch
from hpcnn.train.state import Position, State
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.extras import optional_module
from hpcnn.util.types import Array, Json

# Lines for people: the lecture prints 10 or 20 of its 10,000 or 20,000 epochs.
_LINES = 10
# An epoch takes a millisecond or less: with --resume, the state is written no more often than this.
_SECONDS_BETWEEN_STATES = 5.0


@contextlib.contextmanager
def one_process(spec: TrainSpec) -> Iterator[SingleReplica]:
    """Yield the strategy of one process, with as many threads for NumPy's products as the task has cores.

    Raises UsageError for an option that a network in NumPy cannot follow, and RunError where a launcher started several
    ranks.
    """
    check_options(spec)
    task = TaskEnvironment.read(os.environ)
    check_one_process(task)
    # These products are too small to share: a second thread saves a tenth of the time of 500 digits on idle cores,
    # and on busy ones the threads wait for each other (measured: 211 s instead of 34 s).
    limits = optional_module("threadpoolctl", "training in NumPy").threadpool_limits
    with limits(task.cpus_per_task or 1):
        yield SingleReplica()


class NumpyTraining:
    """Trains one network in NumPy: the ``Training`` of ``session.py`` for networks without a framework.

    The result is that of the best weights, which are kept in ``weights.npz``; every epoch's figures are its own.
    """

    def __init__(self, spec: TrainSpec) -> None:
        """Load the data, whose size is the default of the batch size, and resolve the spec."""
        self.data = load_of(dataclasses.replace(spec, cache="memory"))
        if self.data.train_weights is not None or self.data.test_weights is not None:
            raise bad_value("--data", spec.data, f"a set without weights of samples, with {spec.model} in NumPy")
        samples = len(self.data.x_train)
        self.spec = complete(dataclasses.replace(spec, batch_size=min(spec.batch_size or samples, samples)))

    def assemble(self, context: Context) -> None:
        """Build the network, take up an earlier attempt's state, and record what is trained on what."""
        spec, data, self.context = self.spec, self.data, context
        assert spec.learning_rate is not None
        assert spec.batch_size is not None
        network = make_network(spec, data.input_shape, data.classes)
        scale = data.pixel_scale if spec.pixel_scale == "unit" else 1.0
        x_train, self.x_test = features(data.x_train, scale), features(data.x_test, scale)
        self.descent = Descent(
            network,
            x_train,
            data.y_train,
            learning_rate=spec.learning_rate,
            batch_size=spec.batch_size,
            seed=spec.seed,
        )
        if context.state:
            _restore(self.descent, context.state)
        self._live = ProgressWriter(context.run, spec.epochs or 0, self.steps_per_epoch(), spec.batch_size)
        context.record.provenance(
            "CPU",
            train=to_mapping(spec),
            global_batch_size=spec.batch_size,
            samples=len(x_train),
            model={"parameters": network.parameters, "trainable": network.parameters, "name": spec.model},
        )
        context.log(_first_line(spec, network, len(x_train)))

    def fit(self) -> Progress:
        """Train to the last epoch, the target, or a request to stop."""
        record, spec, start = self.context.record, self.spec, self.context.start
        epochs, target = spec.epochs or 0, spec.target_accuracy
        progress = Progress(start.epoch - 1)
        record.event("run_start")
        begun, kept = time.monotonic() - start.elapsed, time.monotonic()
        for epoch in range(start.epoch, epochs + 1):
            line = self._epoch(epoch, begun, resumed=start.resumed and epoch == start.epoch)
            progress.epochs = epoch
            if epoch == 1 or epoch % max(epochs // _LINES, 1) == 0:
                self.context.log(epoch_line(line, epochs))
            if target is not None and line["validation"]["accuracy"] >= target:
                progress.seconds_to_target = time.monotonic() - begun
                record.event("target_reached", target, epoch=epoch)
                break
            after = Position(epoch + 1, elapsed=record.elapsed)
            if epoch < epochs and self.context.stop.agreed(line["seconds_total"])[0]:
                progress.stopped = after
                break
            if self.context.keeps_state and time.monotonic() - kept > _SECONDS_BETWEEN_STATES:
                self.context.keep(after, self.values())
                kept = time.monotonic()
        self._live.close()
        return progress

    def values(self) -> list[Array]:
        """Return the weights as they are, the best ones, and what was reached with those."""
        best = self.descent.best
        reached = np.array([best.epoch, best.score.loss, best.score.accuracy])
        return [*self.descent.network.weights.values(), *best.weights.values(), reached]

    def steps_per_epoch(self) -> int:
        """Return the number of steps of an epoch."""
        return steps_per_epoch(self.descent.samples, self.spec.batch_size or self.descent.samples)

    def results(self, progress: Progress) -> Results:
        """Keep the best weights, and evaluate them on the test set."""
        best = self.descent.best
        weights.save(self.context.run, best.weights)
        self.descent.network.weights = best.weights
        test = dataclasses.asdict(self._evaluate())
        of_best = f"best weights: of epoch {best.epoch}, training accuracy {best.score.accuracy:.4f}"
        lines = [of_best, last_line(test, len(self.x_test))]
        return Results(test, len(self.x_test), dataclasses.asdict(best.score), training=True, lines=lines)

    def _evaluate(self) -> Score:
        """Return how the network does on the test set."""
        network = self.descent.network
        return score(network, network.forward(self.x_test), self.data.y_test)

    def _epoch(self, epoch: int, begun: float, *, resumed: bool) -> dict[str, Json]:
        """Train one epoch, evaluate, and record it; return its record."""
        record = self.context.record
        record.event("epoch_start", epoch)
        begin = time.monotonic()
        found = self.descent.epoch(epoch, lambda step: self._live.done(epoch, step))
        seconds = time.monotonic() - begin
        validation, seconds_evaluation = None, None
        if self.spec.evaluate:
            begin = time.monotonic()
            record.event("eval_start", epoch)
            validation = dataclasses.asdict(self._evaluate())
            seconds_evaluation = time.monotonic() - begin
            record.event("eval_stop", epoch, **validation)
        record.event("epoch_stop", epoch)
        line = {
            "epoch": epoch,
            "seconds_total": seconds,
            "seconds_input": 0.0,
            "seconds_compute": seconds,
            "seconds_communication": 0.0,
            "seconds_other": 0.0,
            "seconds_evaluation": seconds_evaluation,
            "samples": self.descent.samples,
            "steps": self.steps_per_epoch(),
            "loss": found.loss,
            "metrics": {"accuracy": found.accuracy},
            "validation": validation,
            "learning_rate": self.spec.learning_rate,
            "seconds_since_start": time.monotonic() - begun,
            **({"resumed": True} if resumed else {}),
        }
        record.epoch(line)
        return line


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


def _restore(descent: Descent, found: State) -> None:
    """Go on with the weights of an earlier attempt, in the order of ``NumpyTraining.values``."""
    own = descent.network.weights
    *values, (epoch, loss, accuracy) = found.variables
    if [value.shape for value in values] != 2 * [w.shape for w in own.values()]:
        raise UsageError("--resume: the state is of another model: its variables have other shapes")
    now, best = values[: len(own)], values[len(own) :]
    descent.go_on(
        dict(zip(own, now, strict=True)),
        Best(int(epoch), Score(float(loss), float(accuracy)), dict(zip(own, best, strict=True))),
    )


def _first_line(spec: TrainSpec, network: Network, samples: int) -> str:
    """Return what is trained on what."""
    return (
        f"{spec.model} ({network.parameters:,} parameters) on {spec.data}, {samples:,} samples, "
        f"batch size {spec.batch_size}, gradient descent in NumPy, learning rate {spec.learning_rate:g}, float32"
    )
