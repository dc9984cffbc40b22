"""Records some steps of a training: TensorFlow's profiler, the strategy's timeline, and the trace made of both.

The loop asks how many steps the next call may do, and hands the call over. What is recorded is one call, the first one
after TensorFlow has traced the step, so its epoch is slower than others: the epoch's record says so. Knows the strategy
protocol and the run directory; what a step is, it does not know.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

from hpcnn.parallel.base import Strategy
from hpcnn.rundir.layout import FEW_RANKS, RunDir
from hpcnn.trace.chrome import STEPS, Event, Trace, horovod_events, write
from hpcnn.trace.xplane import events_in
from hpcnn.train.metrics import Sums
from hpcnn.util.types import Array, Json

# Where TensorBoard's profile plugin looks for profiles, below a folder of logs: <this>/<profile>/<host>.xplane.pb
_PLUGIN = Path("plugins/profile")


class Profile:
    """The recording of some steps on this rank."""

    def __init__(self, steps: int, run: RunDir, strategy: Strategy) -> None:
        """Record at most ``steps`` steps."""
        self._steps, self._run, self._strategy = steps, run, strategy
        self.epoch: int | None = None
        """The epoch that was recorded, or None as long as none was."""

    @property
    def steps(self) -> int | None:
        """How many steps the next call is to do, or None where nothing is left to record."""
        return self._steps if self.epoch is None else None

    def record(self, call: Callable[[Sums], Sums], sums: Sums, epoch: int, done: int, steps: int) -> Sums:
        """Do a call of ``steps`` steps, after ``done`` of this epoch; write what happened. All ranks must call it.

        Of many ranks, ``FEW_RANKS`` at even distances write; the others do their steps. sums: those so far, which the
        call goes on with. Returns what it returns.
        """
        self.epoch = epoch
        rank, distance = self._strategy.rank, -(-self._strategy.processes // FEW_RANKS)
        if rank % distance:
            with self._strategy.timeline(Path(os.devnull)):  # which rank 0 writes: all begin and end it together
                self._strategy.barrier()
                return call(sums)
        return self._record(call, sums, done, steps)

    def _record(self, call: Callable[[Sums], Sums], sums: Sums, done: int, steps: int) -> Sums:
        import tensorflow as tf

        rank = self._strategy.rank
        scratch = self._run.path / f".profile.rank{rank:05d}"
        shutil.rmtree(scratch, ignore_errors=True)  # of an attempt that was cut off
        scratch.mkdir()
        timeline = scratch / "horovod.json"
        with self._strategy.timeline(timeline):
            tf.profiler.experimental.start(str(scratch))
            self._strategy.barrier()
            origin_ns, begin = time.time_ns(), time.monotonic()
            with tf.profiler.experimental.Trace("train", step_num=done, _r=1):
                found = call(sums)
            seconds = time.monotonic() - begin
            tf.profiler.experimental.stop()
        facts = {
            "rank": rank,
            "host": socket.gethostname(),
            "strategy": self._strategy.name,
            "epoch": self.epoch,
            "first_step": done + 1,
            "steps": steps,
            "seconds": seconds,
            **_parts(found.seconds - sums.seconds),
            "origin_ns": origin_ns,
        }
        (space,) = scratch.rglob("*.xplane.pb")
        events = [_whole(facts), *events_in(space, origin_ns)]
        if timeline.exists():
            events += horovod_events(timeline.read_text(encoding="utf-8"), origin_ns)
        write(self._run.trace(rank), [Trace(facts, events)])
        self._show_in_tensorboard(space, facts)
        shutil.rmtree(scratch)
        return found

    def _show_in_tensorboard(self, space: Path, facts: dict[str, Json]) -> None:
        """Move a profile to where TensorBoard looks for it; the ranks of a node would have the same name there."""
        name = f"epoch{facts['epoch']}-step{facts['first_step']}"
        folder = self._run.tensorboard / _PLUGIN / name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(space, folder / f"rank{facts['rank']:05d}.xplane.pb")


def _parts(seconds: Array) -> dict[str, float]:
    names = ("seconds_input", "seconds_compute", "seconds_communication")
    return {name: float(part) for name, part in zip(names, seconds, strict=True)}


def _whole(facts: dict[str, Json]) -> Event:
    """Return the recorded steps as one event, above all tracks."""
    first, last = facts["first_step"], facts["first_step"] + facts["steps"] - 1
    name = f"epoch {facts['epoch']}, steps {first} to {last}"
    return Event("steps", STEPS, name, name, 0.0, facts["seconds"] * 1e6)
