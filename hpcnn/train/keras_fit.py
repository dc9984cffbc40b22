"""What makes Keras's own ``model.fit`` right and recorded on several ranks, for users' scripts (``script.py``).

``fit`` trains each rank on its own shard with its own batches, and gradients are averaged: the plain data-parallel
recipe of the courses. hpcnn's own loop (``loop.py``) divides one global batch instead. Both write the same record.
"""

from __future__ import annotations

import time

import keras
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.parallel.devices import device_name
from hpcnn.rundir.layout import STOPPED_EXIT_STATUS
from hpcnn.rundir.progress import ProgressWriter
from hpcnn.train.agreement import checksum, meet
from hpcnn.train.context import Fits
from hpcnn.train.dropout import draw_own_masks
from hpcnn.train.script_record import averaged, epoch_line, work_of
from hpcnn.train.state import Position, values_of
from hpcnn.train.steps import moving_statistics
from hpcnn.train.stop import StopRequest
from hpcnn.train.unbuilt import build_from_fit
from hpcnn.util.types import KerasModel

# Steps of ``fit`` before the first question to all ranks whether one of them was asked to stop, and the seconds and the
# most steps between two such questions.
_FIRST_LOOK, _SECONDS_BETWEEN_LOOKS, _MOST_STEPS = 16, 1.0, 1024


def recorder(strategy: Strategy, fits: Fits, samples: int | None) -> keras.callbacks.Callback:
    """Return hpcnn's callback for ``fit``. A script may fit several times: epochs count on, in one record."""
    return _Recorder(strategy, fits, samples)


class _Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, strategy: Strategy, fits: Fits, samples: int | None) -> None:
        super().__init__()
        self._strategy, self._samples = strategy, samples
        self._fits, self._context = fits, fits.context
        self._record = fits.context.record if fits.context else None

    def set_model(self, model: KerasModel) -> None:
        """Take the model, before ``fit`` compiles its step: without XLA, which does not know Horovod's operations.

        On GPUs Keras turns XLA on by itself (``jit_compile="auto"``).
        """
        super().set_model(model)
        if self._strategy.size > 1:
            model.jit_compile = False

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Give every rank rank 0's weights, or those with which an earlier attempt stopped; write what the run is."""
        meet(self._strategy, "begins a fit", steps=self.params.get("steps"))
        self._fits.count += 1
        build_from_fit(self.model)  # one without an Input would get its weights in the first step
        self.model.optimizer.build(self.model.trainable_variables)  # or its slots would be made there
        self._go_on()
        self._stop = self._context.stop if self._context and self._keeps() else None
        if self._stop:
            self._stop.__enter__()
        variables = [v.value for v in [*self.model.weights, *self.model.optimizer.variables]]
        self._strategy.broadcast(variables)
        draw_own_masks(self.model, self._strategy)
        self._statistics = moving_statistics(self.model)
        if self._record:
            self._record.spec({"resources": {"ntasks": self._strategy.processes}, "train": None, "name": "script"})
            self._record.provenance(device_name(), **work_of([self.model], self._fits))
            self._record.event("run_start")
        self._live = self._progress()
        self._note_state()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the epoch's clock on all ranks together."""
        meet(self._strategy, f"begins epoch {self._fits.epochs + 1}")
        self._validation_seconds: float | None = None
        self._trained_at: float | None = None
        self._batches, self._next_look, self._is_asked = 0, _FIRST_LOOK, False
        self._begin = time.monotonic()
        if self._record:
            self._record.event("epoch_start", self._fits.epochs + 1)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Ask all ranks now and then whether one was asked to stop: Keras then ends the fit on all of them."""
        self._batches = batch + 1
        if self._live:
            self._live.done(self._fits.epochs + 1, self._batches)
        if self._stop and self._batches >= self._next_look:
            self._is_asked = self._someone_is_asked(self._stop)
            self.model.stop_training = self.model.stop_training or self._is_asked

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Stop the epoch's clock: what follows is validation, with the same statistics on every rank."""
        self._end_training()
        self._average_statistics()

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Note how long the validation took."""
        if self._trained_at is not None:
            self._validation_seconds = time.monotonic() - self._trained_at

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Average the logs over the ranks (in place: callbacks that follow see the same everywhere); record them."""
        self._end_training()
        if self._fits.stopped:
            return  # this epoch is done again
        self._average_statistics()
        rate = float(tf.convert_to_tensor(self.model.optimizer.learning_rate))
        weights = checksum(self.model.weights)
        meet(self._strategy, f"has ended epoch {self._fits.epochs + 1}", **{"learning rate": rate, "weights": weights})
        logs = {} if logs is None else logs
        logs.update(averaged(self._strategy, logs))
        self._fits.epochs += 1
        self._fits.validation = {n[4:]: v for n, v in logs.items() if n.startswith("val_")} or None
        if self._record:
            assert self._trained_at is not None
            line = epoch_line(self._fits, self._trained_at - self._begin, logs, self._samples, self._batches, rate)
            first = {"resumed": True} if self._is_first_of_attempt() else {}
            self._record.epoch({**line, "seconds_evaluation": self._validation_seconds, **first})
            self._record.event("epoch_stop", self._fits.epochs)
        self._note_state()
        if self._stop and epoch + 1 < self.params["epochs"] and self._stop.agreed(0.0)[0]:
            self._stop_here(self._fits.epochs + 1)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Wait until every rank has written its last epoch. A script that was asked to stop ends here."""
        if self._live:
            self._live.close()
        if self._stop:
            self._stop.__exit__(None, None, None)
        if self._context and self._fits.stopped:
            self._context.keep(self._position, self._values)
            raise SystemExit(STOPPED_EXIT_STATUS)
        meet(self._strategy, f"ends its fit after epoch {self._fits.epochs}")

    def _keeps(self) -> bool:
        """Return whether this fit can be resumed: the first of a script. To reach a later one, a script begins anew."""
        return self._fits.count == 1

    def _go_on(self) -> None:
        """Take up where an earlier attempt stopped; Keras then skips the epochs that it had done."""
        if self._context and self._context.state and self._keeps():
            self._context.state.restore(self.model)
            self._fits.epochs = self.model._initial_epoch = self._context.start.epoch - 1
            self._fits.validation = self._context.record.last_validation()

    def _progress(self) -> ProgressWriter | None:
        """Return what says on rank 0 where this fit stands; None where Keras does not know how many steps it has."""
        steps, epochs = self.params.get("steps"), self.params.get("epochs")
        if not self._context or not self._strategy.is_chief or not steps or not epochs:
            return None
        before = 0 if self._keeps() else self._fits.epochs
        of_all = self._fits.samples or (self._samples or 0) * self._strategy.size
        batch = self._fits.batch_size or round(of_all / steps) or None
        return ProgressWriter(self._context.run, before + epochs, steps, batch)

    def _note_state(self) -> None:
        """Remember the state before this epoch, with which a later attempt goes on; write it if the job can resume."""
        if self._context and self._stop:
            self._values = values_of(self.model) if self._strategy.is_chief else []
            self._position = Position(self._fits.epochs + 1, elapsed=self._context.record.elapsed)
            if self._context.keeps_state:
                self._context.keep(self._position, self._values)

    def _end_training(self) -> None:
        """Stop the epoch's clock when all ranks have done their batches; once an epoch.

        A rank that has no batch left joins: it adds zeros to the others' sums until all have joined (Horovod's
        ``join``). So ranks with different numbers of batches are named instead of waited for.
        """
        if self._trained_at is not None:
            return
        self._strategy.join()
        self._trained_at = time.monotonic()
        epoch = self._fits.epochs + 1
        meet(self._strategy, f"has trained epoch {epoch}", batches=self._batches)
        if self._strategy.reduce_metrics([float(self._is_asked)])[0] > 0:
            self._stop_here(epoch)

    def _stop_here(self, epoch: int) -> None:
        assert self._stop is not None
        self._fits.stopped = f"stopped in epoch {epoch} ({self._stop.reason()})"
        self.model.stop_training = True

    def _someone_is_asked(self, stop: StopRequest) -> bool:
        """Return whether a rank was asked to stop, and set the next look: about a second later, at the same step.

        Horovod sums, because ranks that have no batch left then add zeros and need not call this.
        """
        per_step = (time.monotonic() - self._begin) / self._batches
        asked, seconds = self._strategy.reduce([tf.constant([stop.is_asked(), per_step], tf.float32)], "stop")[0]
        steps = _SECONDS_BETWEEN_LOOKS * self._strategy.size / max(float(seconds), 1e-9)
        self._next_look = self._batches + max(1, min(int(steps), _MOST_STEPS))
        return bool(asked > 0)

    def _is_first_of_attempt(self) -> bool:
        context = self._context
        return bool(context and context.state and self._keeps() and self._fits.epochs == context.start.epoch)

    def _average_statistics(self) -> None:
        if self._statistics and self._strategy.size > 1:
            self._strategy.synchronize(self._statistics, [1.0 / self._strategy.size])
