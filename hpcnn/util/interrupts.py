"""Let a piece of work come to its end before Ctrl-C interrupts the command."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType


class _Later:
    """Remembers the first interrupt; the second one takes effect at once."""

    def __init__(self, message: str) -> None:
        self.message, self.came = message, False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True
        print(self.message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def interrupts_later(message: str) -> Iterator[None]:
    """Raise KeyboardInterrupt for an interrupt only at the end of the block, and say ``message`` when it comes.

    A second interrupt ends the block at once. Within another such block, and outside the main thread, where Python
    handles no signals, it changes nothing.
    """
    is_inner = isinstance(signal.getsignal(signal.SIGINT), _Later)
    if is_inner or threading.current_thread() is not threading.main_thread():
        yield
        return
    later = _Later(message)
    before = signal.signal(signal.SIGINT, later)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if later.came:
        raise KeyboardInterrupt
