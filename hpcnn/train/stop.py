"""Requests to stop before the end: by a signal to any rank, or by the file ``stop`` in the run directory.

Slurm's signal before the time limit reaches the job script, which writes the file: a file reaches the ranks whatever
the launcher and the container do with signals, and it can come before the ranks listen. The ranks then agree on the
step after which all of them stop. Must not know what is saved.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType

from hpcnn.parallel.base import Strategy

_SIGNALS = (signal.SIGUSR2, signal.SIGTERM)
_SECONDS_BETWEEN_LOOKS = 1.0  # at a file that may lie on a parallel file system


class StopRequest:
    """A request to stop this process. A context manager: its signal handlers are gone afterwards."""

    def __init__(self, file: Path, strategy: Strategy) -> None:
        self._file, self._strategy = file, strategy
        self._signal = 0
        self._next_look = 0.0
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def agreed(self, seconds: float) -> tuple[bool, float]:
        """Return whether any rank was asked to stop, and the mean of the ranks' ``seconds``. All ranks must call it.

        Every rank gets the same answer, so what follows from it is the same on all of them.
        """
        wants, total = self._strategy.reduce_metrics([float(self.is_asked()), seconds])
        return wants > 0, float(total) / self._strategy.processes

    def is_asked(self) -> bool:
        """Return whether this rank was asked to stop; of the file, rank 0 alone knows."""
        return bool(self._signal) or (self._strategy.is_chief and self._in_file())

    def reason(self) -> str:
        """Return who asked, once all ranks have agreed to stop. All ranks must call it."""
        own = self._strategy.rank * signal.NSIG + self._signal if self._signal else math.inf
        first = float(self._strategy.extremes([own])[0][0])
        if math.isfinite(first):
            rank, number = divmod(int(first), signal.NSIG)
            return f"{signal.Signals(number).name} at rank {rank}"
        try:
            return self._file.read_text(encoding="utf-8", errors="replace").strip() or f"the file {self._file.name}"
        except OSError:
            return f"the file {self._file.name}"

    def _in_file(self) -> bool:
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + _SECONDS_BETWEEN_LOOKS
        return self._file.exists()

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal; the same one a second time ends the process, as it would have at once."""
        if self._signal == number:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._signal = number
