"""Reads the slices of a training ahead of its steps, by threads, in the order of the plan.

A step asks for a slice by its sample numbers and waits only where the threads have not read it yet. What was not
announced is read when it is asked for. Must not know TensorFlow or ranks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from hpcnn.data.stream.source import Indices, Slice, Source
from hpcnn.util.types import Array

# Slices that are read ahead: what their bytes allow, between the two numbers.
_AHEAD_BYTES = 128 * 2**20
_FEWEST, _MOST = 2, 32


class Reader:
    """Reads slices of one source.

    change: what is done to the features of each slice, in the reading thread. threads: how many read at once.
    failure: the error with which a slice could not be read. waited: seconds in which somebody waited for a slice.
    """

    def __init__(self, source: Source, threads: int, change: Callable[[Array], Array] = lambda x: x) -> None:
        self.source = source
        self.failure: BaseException | None = None
        self.waited = 0.0
        self._change = change
        self._threads = max(threads, 1)
        self._pool: ThreadPoolExecutor | None = None
        self._coming: Iterator[Indices] = iter(())
        self._ahead: dict[bytes, deque[Future[Slice]]] = {}
        self._count, self._depth = 0, _FEWEST
        self._lock = threading.Lock()

    def expect(self, slices: Iterable[Indices]) -> None:
        """Announce the slices that will be asked for next, in their order; what was announced before is forgotten."""
        with self._lock:
            self._drop()
            self._coming = iter(slices)
            self._fill()

    def close(self) -> None:
        """Forget what was announced, and let the threads end."""
        with self._lock:
            self._drop()
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None

    def read(self, indices: Indices) -> Slice:
        """Return features and labels of a slice (and weights), and note the error if they cannot be read."""
        begin = time.monotonic()
        try:
            with self._lock:
                futures = self._ahead.get(indices.tobytes())
                future = futures.popleft() if futures else None
                if future is not None:
                    self._count -= 1
                    if not futures:
                        del self._ahead[indices.tobytes()]
                    self._fill()
            return self._read(indices) if future is None else future.result()
        except BaseException as error:
            self.failure = self.failure or error
            raise
        finally:
            self.waited += time.monotonic() - begin

    def _read(self, indices: Indices) -> Slice:
        x, *others = self.source.read(indices)
        return self._change(x), *others

    def _fill(self) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="hpcnn-reader")
        while self._count < self._depth:
            indices = next(self._coming, None)
            if indices is None:
                return
            size = max(len(indices) * self.source.x.bytes, 1)
            self._depth = min(max(_AHEAD_BYTES // size, _FEWEST, self._threads + 1), _MOST)
            self._ahead.setdefault(indices.tobytes(), deque()).append(self._pool.submit(self._read, indices))
            self._count += 1

    def _drop(self) -> None:
        for futures in self._ahead.values():
            for future in futures:
                future.cancel()
        self._ahead.clear()
        self._count = 0
        self._coming = iter(())
