"""What makes Keras's own ``model.fit`` right and recorded on several ranks, for users' scripts (``script.py``).

``fit`` trains each rank on its own shard with its own batches, and gradients are averaged: the plain data-parallel
recipe of the courses. hpcnn's own loop (``loop.py``) divides one global batch instead. Both write the same record.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.parallel.devices import device_name
from hpcnn.rundir.layout import STOPPED_EXIT_STATUS
from hpcnn.train.agreement import check_same_weights
from hpcnn.train.context import Fits
from hpcnn.train.dropout import draw_own_masks
from hpcnn.train.setup import trainable_parameters
from hpcnn.train.state import Position, values_of
from hpcnn.train.steps import dense, moving_statistics, sum_present
from hpcnn.util.errors import RunError
from hpcnn.util.types import Json, KerasModel, Optimizer, Tensor, Variable

# Steps of ``fit`` between two questions to all ranks whether one of them was asked to stop.
_STEPS_BETWEEN_LOOKS = 16


def average_gradients(optimizer: Optimizer, strategy: Strategy) -> Optimizer:
    """Return the optimizer with an ``apply`` that first averages the gradients over all ranks.

    ``apply`` is what Keras 3's trainer calls, at the outermost optimizer: under loss scaling every rank must see the
    summed gradients before it decides whether they are finite, or one rank would skip a step that the others wait in.
    """
    if keras.config.dtype_policy().name == "mixed_float16" and not _scales_loss(optimizer):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    if strategy.size == 1:
        return optimizer
    apply = optimizer.apply

    def average_and_apply(grads: Sequence[Tensor], trainable_variables: Sequence[Variable] | None = None) -> Any:
        summed = sum_present(strategy, [dense(g) for g in grads])
        return apply([None if g is None else g / strategy.size for g in summed], trainable_variables)

    optimizer.apply = average_and_apply
    return optimizer


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
        self._check_steps()
        self._fits.count += 1
        self.model.optimizer.build(self.model.trainable_variables)  # or its slots would be made in the first step
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
            sizes = {
                "parameters": self.model.count_params(),
                "trainable": trainable_parameters(self.model),
                "tensors": len(self.model.trainable_weights),
            }
            self._record.provenance(device_name(), model=sizes)
            self._record.event("run_start")
        self._note_state()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the epoch's clock on all ranks together."""
        self._strategy.barrier()
        self._validation_seconds: float | None = None
        self._trained_at: float | None = None
        self._begin = time.monotonic()
        if self._record:
            self._record.event("epoch_start", self._fits.epochs + 1)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Ask all ranks now and then whether one was asked to stop: Keras then ends the fit on all of them."""
        if self._stop and batch % _STEPS_BETWEEN_LOOKS == _STEPS_BETWEEN_LOOKS - 1:
            self._see_whether_to_stop()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Stop the epoch's clock: what follows is validation, with the same statistics on every rank."""
        self._trained_at = time.monotonic()
        self._average_statistics()

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Note how long the validation took."""
        if self._trained_at is not None:
            self._validation_seconds = time.monotonic() - self._trained_at

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Average the logs over the ranks (in place: callbacks that follow see the same everywhere); record them."""
        seconds = (self._trained_at or time.monotonic()) - self._begin
        if self._fits.stopped:
            return  # this epoch is done again
        self._average_statistics()
        check_same_weights(self.model, self._strategy)
        logs = {} if logs is None else logs
        names = sorted(logs)
        sums = self._strategy.reduce_metrics([float(logs[name]) for name in names])
        logs.update({name: float(value) / self._strategy.size for name, value in zip(names, sums, strict=True)})
        self._fits.epochs += 1
        self._fits.validation = {n[4:]: v for n, v in logs.items() if n.startswith("val_")} or None
        if self._record:
            self._record.epoch(self._line(seconds, logs))
            self._record.event("epoch_stop", self._fits.epochs)
        self._note_state()
        if self._stop and epoch + 1 < self.params["epochs"]:
            self._see_whether_to_stop()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Wait until every rank has written its last epoch. A script that was asked to stop ends here."""
        if self._stop:
            self._stop.__exit__(None, None, None)
        if self._context and self._fits.stopped:
            self._context.keep(self._position, self._values)
            raise SystemExit(STOPPED_EXIT_STATUS)
        self._strategy.barrier()

    def _keeps(self) -> bool:
        """Return whether this fit can be resumed: the first of a script. To reach a later one, a script begins anew."""
        return self._fits.count == 1

    def _go_on(self) -> None:
        """Take up where an earlier attempt stopped; Keras then skips the epochs that it had done."""
        if self._context and self._context.state and self._keeps():
            self._context.state.restore(self.model)
            self._fits.epochs = self.model._initial_epoch = self._context.start.epoch - 1

    def _note_state(self) -> None:
        """Remember the state before this epoch, with which a later attempt goes on; write it if the job can resume."""
        if self._context and self._stop:
            self._values = values_of(self.model) if self._strategy.is_chief else []
            self._position = Position(self._fits.epochs + 1, elapsed=self._context.record.elapsed)
            if self._context.keeps_state:
                self._context.keep(self._position, self._values)

    def _see_whether_to_stop(self) -> None:
        assert self._stop is not None
        if self._stop.agreed(0.0)[0]:
            self._fits.stopped = f"stopped in epoch {self._fits.epochs + 1} ({self._stop.reason()})"
            self.model.stop_training = True

    def _check_steps(self) -> None:
        """Raise RunError where the ranks would do different numbers of steps: the last ones would wait for ever."""
        steps = [int(row[0]) for row in self._strategy.gather([float(self.params.get("steps") or 0)])]
        if len(set(steps)) > 1:
            raise RunError(
                f"the ranks would do different numbers of steps an epoch ({', '.join(map(str, steps))}): "
                "give each the same number of samples, as run.shard() does"
            )

    def _line(self, seconds: float, logs: dict[str, float]) -> dict[str, Json]:
        """Return one epoch's record. ``fit`` does not tell input and compute apart: those are null, not guessed."""
        training = {name: value for name, value in logs.items() if not name.startswith("val_")}
        return {
            "epoch": self._fits.epochs,
            "seconds_total": seconds,
            "seconds_input": None,
            "seconds_compute": None,
            "seconds_communication": None,
            "seconds_other": None,
            "seconds_evaluation": self._validation_seconds,
            "samples": self._samples,
            "steps": self.params.get("steps"),
            "loss": training.pop("loss", None),
            "metrics": training,
            "validation": self._fits.validation,
            "learning_rate": float(tf.convert_to_tensor(self.model.optimizer.learning_rate)),
            **({"resumed": True} if self._is_first_of_attempt() else {}),
        }

    def _is_first_of_attempt(self) -> bool:
        context = self._context
        return bool(context and context.state and self._keeps() and self._fits.epochs == context.start.epoch)

    def _average_statistics(self) -> None:
        if self._statistics and self._strategy.size > 1:
            self._strategy.synchronize(self._statistics, [1.0 / self._strategy.size])


def _scales_loss(optimizer: Optimizer) -> bool:
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
