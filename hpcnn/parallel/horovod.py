"""Horovod over MPI: one process per GPU (or share of the cores), gradients summed by allreduce.

Uses the tensor operations of ``horovod.tensorflow`` alone. Horovod's Keras layer must not be used on Keras 3: its
``DistributedOptimizer`` overrides methods that Keras 3 no longer calls, and so trains without any reduction and
without an error (docs/decisions/002-no-horovod-keras.md).
"""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from hpcnn.parallel.base import TaskEnvironment, check_world_size
from hpcnn.parallel.buckets import Size, buckets
from hpcnn.parallel.devices import set_threads, threads, use_one_gpu
from hpcnn.parallel.joined import size_of, sum_in_buckets
from hpcnn.parallel.launcher import launched_by
from hpcnn.parallel.mpi import library, world
from hpcnn.parallel.processes import ManyProcesses
from hpcnn.parallel.serial import SingleReplica
from hpcnn.util.errors import RunError
from hpcnn.util.host import cpu_model
from hpcnn.util.types import Tensor, Variable

# Horovod reads it when it starts; with this value it records on request (Horovod's documentation, "Timeline").
_TIMELINE, _ON_REQUEST = "HOROVOD_TIMELINE", "DYNAMIC"
_CLOSING_SECONDS = 5.0
# By itself Horovod warns for ever of a rank for whose tensors the others wait (Horovod's documentation, "Stall
# Inspector"). After so many seconds it ends the job; 0 is never. What is set in the environment counts.
_STALL_SHUTDOWN = ("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", "300")
# Between processes of one machine without GPUs a message takes a fraction of Horovod's own pause between two looks for
# gradients (1 ms), and copying a large gradient into its buffer takes longer than a message (templates/sites/local.toml
# has what was measured). Small gradients are joined before Horovod sees them (buckets.py).
_ONE_NODE = {"HOROVOD_CYCLE_TIME": "0.1", "HOROVOD_FUSION_THRESHOLD": "131072"}


class Horovod(ManyProcesses, SingleReplica):
    """Ranks started by mpirun or srun that reduce with Horovod."""

    name = "horovod"

    def __init__(self, task: TaskEnvironment) -> None:
        self._hvd = _import_horovod()
        comm = world()
        if task.traced:
            os.environ.setdefault(_TIMELINE, _ON_REQUEST)
        os.environ.setdefault(*_STALL_SHUTDOWN)
        self.connect(comm)
        if self.nodes == 1 and not task.gpus_per_node:
            for variable, value in _ONE_NODE.items():
                os.environ.setdefault(variable, value)
        self._hvd.init()
        self.mpi_version = library()
        self.rank = self._hvd.rank()
        self.size = self.processes = self._hvd.size()
        self.local_rank = self._hvd.local_rank()
        launched = launched_by(os.environ)
        check_world_size(task.world_size, self.size, self.rank, self.name)
        check_world_size(launched.size if launched else None, self.size, self.rank, self.name)
        self._grouping = task.grouping
        self.devices = (use_one_gpu(self.local_rank),)
        set_threads(task)
        self.gathers = task.factors and self.size > 1 and self._compute_identically()

    def _compute_identically(self) -> bool:
        """Return whether an operation gives identical bits on all ranks: CPUs of one model, equal numbers of threads.

        TensorFlow chooses its instructions by the processor and divides its sums among the threads.
        """
        way = f"{self.devices[0]} {cpu_model()} {threads()}"
        least, greatest = self.extremes([zlib.crc32(way.encode())])
        return self.devices[0].startswith("/CPU") and bool(least == greatest)

    def reduce(self, tensors: Sequence[Tensor], name: str = "gradient") -> list[Tensor]:
        """Sum each tensor over the ranks, as soon as it and those that are joined with it are ready.

        So reduction overlaps back-propagation. With all in one group every tensor would wait for the last one (14,700
        instead of 23,200 images/s on two cores with the one-convolution network).
        """
        if not self.communicates:
            return list(tensors)
        hvd = self._hvd
        if self._grouping == "all" and len({t.dtype for t in tensors}) == 1:  # Horovod groups tensors of one type
            return list(hvd.grouped_allreduce(list(tensors), op=hvd.Sum, name=name))

        def allreduce(tensor: Tensor, first: int) -> Tensor:
            return hvd.allreduce(tensor, op=hvd.Sum, name=f"{name}.{first:04d}")

        return sum_in_buckets(tensors, self.messages([size_of(tensor) for tensor in tensors]), allreduce)

    def messages(self, sizes: Sequence[Size]) -> list[list[int]]:
        """Return the tensors that each allreduce sums, by their numbers."""
        if self._grouping == "all":
            return [list(range(len(sizes)))]
        return buckets(sizes) if self._grouping == "auto" else [[number] for number in range(len(sizes))]

    def concatenate(self, tensor: Tensor, name: str) -> Tensor:
        """Gather the rows of all ranks. Horovod has no bfloat16: its 16 bits are sent as a uint16."""
        import tensorflow as tf

        if tensor.dtype != tf.bfloat16:
            return self._hvd.allgather(tensor, name=name)
        return tf.bitcast(self._hvd.allgather(tf.bitcast(tensor, tf.uint16), name=name), tf.bfloat16)

    def synchronize(self, variables: Sequence[Variable], weights: Sequence[Tensor]) -> None:
        """Average the variables over the ranks, each rank weighted by its share of the batch."""
        if not self.communicates:
            return
        import tensorflow as tf

        hvd = self._hvd
        for number, variable in enumerate(variables):
            share = variable * tf.cast(weights[0], variable.dtype)
            variable.assign(hvd.allreduce(share, op=hvd.Sum, name=f"statistic.{number:04d}"))

    def broadcast(self, variables: Sequence[Variable]) -> None:
        """Copy the values of rank 0 to all ranks."""
        self._hvd.broadcast_variables(list(variables), root_rank=0)

    def join(self) -> None:
        """Let Horovod add zeros in place of this rank's tensors until every rank has joined.

        TensorFlow remembers what an operation without inputs and without state returned, and Horovod's is registered as
        one: a second call would not wait. So each call is a function of its own.
        """
        if not self._hvd.is_initialized():  # a script has shut it down
            return
        import tensorflow as tf

        tf.function(self._hvd.join, autograph=False).get_concrete_function()()

    @contextlib.contextmanager
    def timeline(self, file: Path) -> Iterator[None]:
        """Record Horovod's timeline: for every tensor, when the ranks negotiated and summed it (rank 0).

        Records nothing if the user has Horovod write a timeline of its own.
        """
        if os.environ.get(_TIMELINE) != _ON_REQUEST:
            yield
            return
        self._hvd.start_timeline(str(file))
        try:
            yield
        finally:
            self._hvd.stop_timeline()
            if self.is_chief:
                _wait_until_closed(file)


def _wait_until_closed(timeline: Path) -> None:
    """Wait a few seconds at most until Horovod's thread has written the end of the timeline, a JSON list."""
    until = time.monotonic() + _CLOSING_SECONDS
    while time.monotonic() < until:
        if timeline.exists() and timeline.read_bytes().rstrip().endswith(b"]"):
            return
        time.sleep(0.01)


def _import_horovod() -> ModuleType:
    try:
        import horovod.tensorflow as hvd
    except ImportError as error:
        raise RunError(
            f"strategy 'horovod': Horovod cannot be imported ({error}). "
            "Build it with containers/build-horovod.sh; `hpcnn doctor` says what is missing."
        ) from error
    module: ModuleType = hvd
    return module
