"""How far a training is: a small file that rank 0 writes over between calls of many steps, and that anyone may read.

It is for people who watch. It goes when the training ends, is never waited for, and no report reads it. Must not import
a room that trains.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import parse_json, tail
from hpcnn.util.walltime import walltime

# Between two writes: a file system of a cluster should not notice them.
_SECONDS = 1.0
# The file has one length, so that a shorter text leaves nothing of a longer one.
_BYTES = 256


@dataclass(frozen=True)
class Standing:
    """Where a training stands: in which epoch and step, how fast, and how many seconds are left at this speed."""

    epoch: int
    epochs: int
    step: int
    steps: int
    images_per_second: float | None
    seconds_left: float | None

    def text(self) -> str:
        """Return it for people, in less than 80 columns."""
        parts = [f"epoch {self.epoch}/{self.epochs}", f"{self.step:,}/{self.steps:,} steps"]
        if self.images_per_second is not None:
            parts.append(f"{self.images_per_second:,.0f} images/s")
        if self.seconds_left is not None:
            parts.append(f"{walltime(round(self.seconds_left))} left")
        return "  ".join(parts)


class ProgressWriter:
    """Writes where a training stands, at most once a second; of a disk that refuses it takes no notice.

    batch: samples of a step over all ranks, None where nobody has said how many.
    """

    def __init__(self, run: RunDir, epochs: int, steps: int, batch: int | None) -> None:
        self._path, self._epochs, self._steps, self._batch = run.progress, epochs, steps, batch
        self._first: tuple[float, int] | None = None
        self._last: tuple[float, int] = (0.0, 0)

    def done(self, epoch: int, step: int) -> None:
        """Note that so many steps of an epoch are done."""
        now, total = time.monotonic(), (epoch - 1) * self._steps + step
        if self._first is None:  # the first call's seconds are mostly tracing: speed counts from its end
            self._first = self._last = (now, total)
        elif now - self._last[0] < _SECONDS:
            return
        speed = self._per_second(self._last, now, total)
        overall = self._per_second(self._first, now, total)
        self._last = (now, total)
        left = self._epochs * self._steps - total
        standing = Standing(
            epoch,
            self._epochs,
            step,
            self._steps,
            None if speed is None or self._batch is None else round(speed * self._batch, 1),
            None if not overall else round(left / overall, 1),
        )
        self._write(json.dumps(asdict(standing)))

    def close(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)

    @staticmethod
    def _per_second(since: tuple[float, int], now: float, total: int) -> float | None:
        seconds, steps = now - since[0], total - since[1]
        return steps / seconds if seconds > 0 and steps > 0 else None

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            try:
                os.pwrite(file, text.ljust(_BYTES).encode(), 0)
            finally:
                os.close(file)


def standing(run: RunDir) -> Standing | None:
    """Return where a training stands; None where it does not say, or is being written at this moment."""
    try:
        found = parse_json(tail(run.progress, _BYTES + 1).decode())
        counts = (int(found[key]) for key in ("epoch", "epochs", "step", "steps"))
        speeds = [None if found[key] is None else float(found[key]) for key in ("images_per_second", "seconds_left")]
        if not all(speed is None or math.isfinite(speed) for speed in speeds):
            return None
        return Standing(*counts, *speeds)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
