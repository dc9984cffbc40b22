"""Reads the slices of a training ahead of its steps, by threads, in the order of the plan.

A step asks for a slice by its sample numbers and waits only where the threads have not read it yet. What was not
announced is read when it is asked for. Must not know TensorFlow or ranks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, pairwise

import numpy as np

from hpcnn.data.stream.source import Indices, Slice, Source
from hpcnn.util.types import Array

# Slices that are read ahead: what their bytes allow, between the two numbers.
_AHEAD_BYTES = 128 * 2**20
_FEWEST, _MOST = 2, 32
# What one call reads at most, of sources whose calls are dear.
_GROUP_BYTES = _AHEAD_BYTES // 2


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
        # of each slice, the call that reads it with others, and its number among them
        self._ahead: dict[bytes, deque[tuple[Future[list[Slice]], int]]] = {}
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
                found = self._ahead.get(indices.tobytes())
                future, number = found.popleft() if found else (None, 0)
                if future is not None:
                    self._count -= 1
                    if not found:
                        del self._ahead[indices.tobytes()]
                    self._fill()
            return self._read([indices])[0] if future is None else future.result()[number]
        except BaseException as error:
            self.failure = self.failure or error
            raise
        finally:
            self.waited += time.monotonic() - begin

    def _read(self, group: Sequence[Indices]) -> list[Slice]:
        """Return several slices, read in one call."""
        x, *others = self.source.read(group[0] if len(group) == 1 else np.concatenate(group))
        parts = (self._change(x), *others)
        edges = np.cumsum([0, *map(len, group)])
        return [tuple(part[first:last] for part in parts) for first, last in pairwise(edges)]

    def _fill(self) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="hpcnn-reader")
        while self._count < self._depth:
            group = self._next_group()
            if not group:
                return
            size = max(len(group[0]) * self.source.x.bytes, 1)
            self._depth = min(max(_AHEAD_BYTES // size, _FEWEST, self._threads + 1), _MOST)
            future = self._pool.submit(self._read, group)
            for number, indices in enumerate(group):
                self._ahead.setdefault(indices.tobytes(), deque()).append((future, number))
            self._count += len(group)

    def _next_group(self) -> list[Indices]:
        """Return the next slices that one call is to read: several small ones where a call is dear."""
        group = list(islice(self._coming, 1))
        if group and len(group[0]):
            by_bytes = _GROUP_BYTES // max(len(group[0]) * self.source.x.bytes, 1)
            group += islice(self._coming, max(min(self.source.worthwhile // len(group[0]), by_bytes), 1) - 1)
        return group

    def _drop(self) -> None:
        for found in self._ahead.values():
            for future, _ in found:
                future.cancel()
        self._ahead.clear()
        self._count = 0
        self._coming = iter(())
