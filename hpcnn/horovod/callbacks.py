"""Horovod's callbacks for ``fit`` on Keras 3. The one that broadcasts is hpcnn's recorder too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import keras
import tensorflow as tf

from hpcnn.horovod.operations import broadcast_variables
from hpcnn.horovod.ranks import Sum, current_run, horovod, rank, size
from hpcnn.horovod.refused import all_ranks_only, refuse
from hpcnn.train.unbuilt import build_from_fit
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.loss_scaling import unscaled
from hpcnn.util.types import KerasModel, Logs

__all__ = [
    "BestModelCheckpoint",
    "BroadcastGlobalVariablesCallback",
    "LearningRateScheduleCallback",
    "LearningRateWarmupCallback",
    "MetricAverageCallback",
]


class _Callback(keras.callbacks.Callback):  # type: ignore[misc]
    def set_model(self, model: KerasModel) -> None:
        """Take the model, before ``fit`` compiles its step: without XLA, which does not know Horovod's operations."""
        super().set_model(model)
        if size() > 1:
            model.jit_compile = False


class BroadcastGlobalVariablesCallback(_Callback):
    """Gives all ranks the weights and the optimizer's state of one rank, and does what ``run.callbacks()`` does.

    That is: average the logs and the statistics of batch normalisation over the ranks, check after every epoch that all
    ranks hold the same weights, and write the run directory. So it comes first among the callbacks.

    samples: the training samples of this rank in an epoch, for the record; Keras does not tell a callback.
    """

    def __init__(
        self, root_rank: int, device: str = "", local_variables: Any = None, *, samples: int | None = None
    ) -> None:
        super().__init__()
        (self._recorder,) = current_run().callbacks(samples=samples)
        if not 0 <= root_rank < size():
            raise bad_value("root_rank", root_rank, f"a rank, 0 to {size() - 1}")
        if local_variables is not None and len(list(local_variables)):
            all_ranks_only("BroadcastGlobalVariablesCallback", "local_variables")
        self._root_rank, self._device = root_rank, device

    def set_params(self, params: dict[str, Any]) -> None:
        """Take what ``fit`` was called with."""
        super().set_params(params)
        self._recorder.set_params(params)

    def set_model(self, model: KerasModel) -> None:
        """Take the model."""
        super().set_model(model)
        self._recorder.set_model(model)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Start from the weights of rank ``root_rank``, or from those with which an earlier attempt stopped."""
        build_from_fit(self.model)
        if self._root_rank:
            self.model.optimizer.build(self.model.trainable_variables)  # or its state would be made in the first step
            with tf.device(self._device):
                broadcast_variables([*self.model.weights, *self.model.optimizer.variables], self._root_rank)
        self._recorder.on_train_begin(logs)

    def on_train_end(self, logs: Logs = None) -> None:
        """Pass it on, like what follows."""
        self._recorder.on_train_end(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Pass it on."""
        self._recorder.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Pass it on."""
        self._recorder.on_epoch_end(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Pass it on."""
        self._recorder.on_train_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Pass it on."""
        self._recorder.on_test_begin(logs)

    def on_test_end(self, logs: Logs = None) -> None:
        """Pass it on."""
        self._recorder.on_test_end(logs)


class MetricAverageCallback(_Callback):
    """Replaces the logs of an epoch by their means over the ranks, for the callbacks after it."""

    def __init__(self, device: str = "") -> None:
        super().__init__()
        self._device = device

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Average loss and metrics; the same numbers on all ranks stay what they are."""
        if not logs:
            return
        names = sorted(logs)
        own = tf.constant([float(logs[name]) for name in names], tf.float64)
        with tf.device(self._device):
            sums = horovod.allreduce(own, op=Sum, name="metrics").numpy()
        logs.update(zip(names, (sums / size()).tolist(), strict=True))


class LearningRateScheduleCallback(_Callback):
    """Sets the learning rate to ``initial_lr`` times ``multiplier``, from ``start_epoch`` until before ``end_epoch``.

    multiplier: a function of the epoch, or the factor by which the rate changes every epoch from ``start_epoch`` on.
    staircase: whether the rate changes at the beginning of an epoch only; else before every batch, and the epochs that
        ``multiplier`` gets have fractions.
    momentum_correction: whether a change of the rate changes the velocities of an optimizer with momentum alike.
    steps_per_epoch: of ``fit`` where it does not know them itself.
    """

    def __init__(
        self,
        initial_lr: float,
        multiplier: float | Callable[[float], float],
        start_epoch: int = 0,
        end_epoch: int | None = None,
        staircase: bool = True,
        momentum_correction: bool = True,
        steps_per_epoch: int | None = None,
    ) -> None:
        super().__init__()
        if initial_lr is None:
            raise bad_value("initial_lr", initial_lr, "a learning rate")
        self.initial_lr = initial_lr
        self.start_epoch, self.end_epoch = start_epoch, math.inf if end_epoch is None else end_epoch
        self.staircase, self.momentum_correction = staircase, momentum_correction
        self.steps_per_epoch = steps_per_epoch
        self._multiplier = multiplier
        self._epoch = 0

    def multiplier(self, epoch: float) -> float:
        """Return the factor of ``initial_lr`` at a time in epochs."""
        if callable(self._multiplier):
            return float(self._multiplier(epoch))
        return float(self._multiplier ** (epoch - self.start_epoch))

    def on_train_begin(self, logs: Logs = None) -> None:
        """Find the number of steps of an epoch."""
        self.steps_per_epoch = self.steps_per_epoch or self.params.get("steps")
        if not self.staircase and not self.steps_per_epoch:
            raise UsageError(f"{type(self).__name__}: fit does not know its steps an epoch; give steps_per_epoch")

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Set the rate where it changes."""
        if not self.start_epoch <= self._epoch < self.end_epoch:
            return
        if not self.staircase:
            assert self.steps_per_epoch
            self._set(self.initial_lr * self.multiplier(self._epoch + batch / self.steps_per_epoch))
        elif batch == 0:
            self._set(self.initial_lr * self.multiplier(self._epoch))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Log the rate, as ``lr``."""
        if logs is not None:
            logs["lr"] = self._rate()

    def _rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def _set(self, rate: float) -> None:
        before = self._rate()
        self.model.optimizer.learning_rate = rate
        if self.momentum_correction and before > 0 and rate != before:
            self._correct(rate / before)

    def _correct(self, ratio: float) -> None:
        """Scale the velocities: Keras's hold the learning rate as a factor, so a changed rate meets those of the old.

        Horovod multiplied the momentum for one step, which is the same; Keras 3 has it as a constant in its step.
        """
        optimizer, velocities = unscaled(self.model.optimizer), []
        if isinstance(optimizer, keras.optimizers.SGD):
            velocities = optimizer.momentums
        elif isinstance(optimizer, keras.optimizers.RMSprop):
            velocities = optimizer._momentums
        for velocity in velocities:
            velocity.assign(velocity * ratio)


class LearningRateWarmupCallback(LearningRateScheduleCallback):
    """Raises the learning rate batch by batch, from ``initial_lr`` divided by the ranks to ``initial_lr``.

    verbose: 1 says on rank 0 when it is done.
    """

    def __init__(
        self,
        initial_lr: float,
        warmup_epochs: int = 5,
        momentum_correction: bool = True,
        steps_per_epoch: int | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            initial_lr,
            self._share,
            end_epoch=warmup_epochs,
            staircase=False,
            momentum_correction=momentum_correction,
            steps_per_epoch=steps_per_epoch,
        )
        self._epochs, self._verbose = warmup_epochs, verbose

    def _share(self, epoch: float) -> float:
        """Return the share of the rate in the batch that begins at a time in epochs: that of the batch's end."""
        assert self.steps_per_epoch
        done = (epoch + 1 / self.steps_per_epoch) / self._epochs
        return float((1 + done * (size() - 1)) / size())

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Log the rate, as ``lr``, and say when the warm-up is over."""
        super().on_epoch_end(epoch, logs)
        if self._verbose and rank() == 0 and epoch == self._epochs - 1:
            print(f"\nEpoch {epoch + 1}: finished gradual learning rate warmup to {self._rate():g}.")


class BestModelCheckpoint(keras.callbacks.ModelCheckpoint):  # type: ignore[misc]
    """Keeps the model of the epoch with the best ``monitor``. Only rank 0 writes.

    filepath: ``best.keras``, or ``best.weights.h5`` where only weights are saved.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        filepath: str | None = None,
    ) -> None:
        super().__init__(
            filepath or ("best.weights.h5" if save_weights_only else "best.keras"),
            monitor=monitor,
            verbose=verbose,
            save_best_only=True,
            save_weights_only=save_weights_only,
            mode=mode,
            save_freq=save_freq,
        )

    def _save_model(self, epoch: int, batch: int | None, logs: Logs) -> None:
        if rank() == 0:
            super()._save_model(epoch, batch, logs)


def __getattr__(name: str) -> NoReturn:
    refuse(__name__, name)
