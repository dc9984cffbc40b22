"""Slices are read ahead in the order of the plan, and somebody waits only for what is not there yet."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from hpcnn.data.stream.source import Indices, Source, Spec
from hpcnn.train.reader import Reader
from hpcnn.util.types import Array


class Slow(Source):
    """Samples whose features are their numbers; each slice takes a while."""

    x, y = Spec((1,), np.dtype(np.float32)), Spec((), np.dtype(np.int64))

    def __init__(self, seconds: float = 0.0, broken: int | None = None) -> None:
        self.seconds, self.broken = seconds, broken
        self.asked: list[list[int]] = []
        self.threads_seen: set[str] = set()

    def __len__(self) -> int:
        return 1000

    def read(self, indices: Indices) -> tuple[Array, Array]:
        self.asked.append(indices.tolist())
        self.threads_seen.add(threading.current_thread().name)
        time.sleep(self.seconds)
        if self.broken in indices:
            raise OSError("the disk is gone")
        return np.asarray(indices, np.float32)[:, None], np.asarray(indices, np.int64)


SLICES = [np.arange(first, first + 3, dtype=np.int32) for first in range(0, 300, 3)]


def test_slices_come_as_they_are_asked_for() -> None:
    reader = Reader(Slow(), 2)
    reader.expect(iter(SLICES))
    for indices in SLICES:
        x, y = reader.read(indices)
        assert x[:, 0].tolist() == y.tolist() == indices.tolist()
    reader.close()


def test_what_computes_meanwhile_does_not_wait() -> None:
    source = Slow(0.02)
    reader = Reader(source, 2)
    reader.expect(iter(SLICES[:20]))
    time.sleep(0.3)
    for indices in SLICES[:20]:
        time.sleep(0.02)  # the network
        reader.read(indices)
    reader.close()
    assert reader.waited < 0.2  # 0.4 if each had been read when it was asked for
    assert "MainThread" not in source.threads_seen


def test_nothing_is_read_far_ahead() -> None:
    source = Slow()
    reader = Reader(source, 2)
    reader.expect(iter(SLICES))
    time.sleep(0.2)
    assert len(source.asked) <= 33
    reader.close()


def test_what_was_not_announced_is_read_too_and_a_new_plan_forgets_the_old() -> None:
    reader = Reader(Slow(), 1)
    reader.expect(iter(SLICES))
    assert reader.read(np.array([7, 5], np.int32))[1].tolist() == [7, 5]
    reader.expect(iter(SLICES[50:]))
    assert reader.read(SLICES[50])[1].tolist() == SLICES[50].tolist()
    reader.close()


def test_two_replicas_that_stand_in_for_each_other_both_get_the_slice() -> None:
    reader = Reader(Slow(), 1)
    reader.expect(iter([SLICES[0], SLICES[0]]))
    for _ in range(2):
        assert reader.read(SLICES[0])[1].tolist() == [0, 1, 2]
    reader.close()


def test_an_error_of_the_reading_thread_is_kept() -> None:
    reader = Reader(Slow(broken=4), 1)
    reader.expect(iter(SLICES))
    reader.read(SLICES[0])
    with pytest.raises(OSError, match="the disk is gone"):
        reader.read(SLICES[1])
    assert str(reader.failure) == "the disk is gone"
    reader.close()


def test_where_a_call_is_dear_it_reads_several_slices() -> None:
    source = Slow()
    source.worthwhile = 10
    reader = Reader(source, 2)
    uneven = [*SLICES[:8], np.arange(24, 26, dtype=np.int32)]
    reader.expect(iter(uneven))
    for indices in uneven:
        x, y = reader.read(indices)
        assert x[:, 0].tolist() == y.tolist() == indices.tolist()
    reader.close()
    assert sorted(map(len, source.asked)) == [8, 9, 9]  # three slices of three a call, and what is left
    assert source.asked[0] == list(range(9))
