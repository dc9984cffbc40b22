"""For a training loop of a user's own: epochs with a clock, a check of the ranks, and a line in the record.

``run.epoch`` of ``script.py`` makes one. Writes the same record as the callback for ``fit`` (``keras_fit.py``), so that
such a script has its rows in the report. Must not know networks: weights are lists of variables here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from hpcnn.parallel.base import Strategy
from hpcnn.parallel.devices import device_name
from hpcnn.train.agreement import checksum, meet
from hpcnn.train.context import Fits
from hpcnn.train.script_record import averaged, epoch_line, work_of
from hpcnn.util.errors import bad_value
from hpcnn.util.types import KerasModel


class Epoch:
    """One epoch of a loop of a user's own, as a context manager. All ranks must enter and leave it together."""

    def __init__(
        self, strategy: Strategy, fits: Fits, models: Sequence[KerasModel], samples: int | None, steps: int | None
    ) -> None:
        self._strategy, self._fits, self._models = strategy, fits, models
        self._samples, self._steps = samples, steps
        self._record = fits.context.record if fits.context else None
        self._logs: dict[str, float] = {}
        self._trained_at: float | None = None

    def log(self, **values: Any) -> None:
        """Note this rank's values: ``loss``, metrics, and those of a validation as ``val_...``.

        The record gets their means over the ranks. A value noted again replaces the first. Raises UsageError for what
        is no number.
        """
        for name, value in values.items():
            try:
                self._logs[name] = float(value)
            except (TypeError, ValueError) as error:
                raise bad_value(f"epoch.log: {name}", value, "one number") from error

    def end_training(self) -> None:
        """Stop the epoch's clock: what follows until the end of the ``with`` block is validation."""
        self._trained_at = time.monotonic()

    @property
    def logs(self) -> dict[str, float]:
        """Return the means over all ranks, once the epoch has ended."""
        return self._logs

    def __enter__(self) -> Epoch:
        number = self._fits.epochs + 1
        meet(self._strategy, f"begins epoch {number}")
        if self._record and number == 1:
            self._begin_record()
        if self._record:
            self._record.event("epoch_start", number)
        self._begin = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            return
        self._strategy.join()  # a rank with more steps goes on with zeros of this one, and is then named
        end = time.monotonic()
        trained = self._trained_at or end
        facts = {"batches": self._steps, "weights": weights_of(self._fits), "names": sorted(self._logs)}
        meet(self._strategy, f"has ended epoch {self._fits.epochs + 1}", **facts)
        self._logs = averaged(self._strategy, self._logs)
        self._fits.epochs += 1
        self._fits.validation = {n[4:]: v for n, v in self._logs.items() if n.startswith("val_")} or None
        if self._record:
            line = epoch_line(
                self._fits, trained - self._begin, self._logs, self._samples, self._steps, rate(self._fits)
            )
            evaluation = end - trained if self._trained_at else None
            self._record.epoch({**line, "seconds_evaluation": evaluation})
            self._record.event("epoch_stop", self._fits.epochs)

    def _begin_record(self) -> None:
        assert self._record is not None
        self._record.spec({"resources": {"ntasks": self._strategy.processes}, "train": None, "name": "script"})
        self._record.provenance(device_name(), **work_of(self._models, self._fits))
        self._record.event("run_start")


def weights_of(fits: Fits) -> int:
    """Return a checksum of what the distributed optimizers train, 0 where they have trained nothing yet."""
    return (
        checksum(v for optimizer in fits.optimizers for v in optimizer._trainable_variables) if fits.optimizers else 0
    )


def rate(fits: Fits) -> float | None:
    """Return the learning rate of the first distributed optimizer, None without one."""
    import tensorflow as tf

    return float(tf.convert_to_tensor(fits.optimizers[0].learning_rate)) if fits.optimizers else None
