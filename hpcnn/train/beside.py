"""Work on a second thread: while TensorFlow computes, Python is free. Must not know models."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def beside(work: Callable[[], object]) -> Iterator[None]:
    """Do ``work`` while the block runs; both have ended after it.

    What the work raises is dropped: it prepares what is made anew, and then raises, where it is missing.
    """

    def do() -> None:
        with contextlib.suppress(Exception):
            work()

    thread = threading.Thread(target=do)
    thread.start()
    try:
        yield
    finally:
        thread.join()
