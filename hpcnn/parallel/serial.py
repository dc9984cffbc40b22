"""One process with one device: the base case of every other strategy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from hpcnn.parallel.base import TaskEnvironment, check_world_size
from hpcnn.parallel.buckets import Size
from hpcnn.parallel.devices import set_threads, use_one_gpu
from hpcnn.parallel.launcher import launched_by
from hpcnn.parallel.processes import OneProcess
from hpcnn.util.types import Optimizer, Tensor, Variable


class SingleReplica(OneProcess):
    """The common part of strategies with one replica per process; on its own, a single process."""

    name = "serial"
    size = 1
    local_rank = 0
    devices: Sequence[str] = ("/CPU:0",)
    communicates = True
    gathers = False
    mpi_version: str | None = None

    @property
    def replicas(self) -> Sequence[int]:
        """Return the index of the one replica: the rank."""
        return (self.rank,)

    def scope(self) -> AbstractContextManager[object]:
        """Return an empty context: variables are ordinary ones."""
        return contextlib.nullcontext()

    def prepare_optimizer(self, optimizer: Optimizer) -> None:
        """Leave the optimizer alone: outside tf.distribute it reduces nothing."""

    def undivided_losses(self) -> AbstractContextManager[object]:
        """Return an empty context: outside tf.distribute Keras divides by nothing."""
        return contextlib.nullcontext()

    def run(self, function: Callable[..., Tensor], args: tuple[Tensor, ...]) -> list[Tensor]:
        """Call the function once."""
        return [function(*args)]

    def local_replica(self) -> int | Tensor:
        """Return 0: a process has one replica."""
        return 0

    def reduce(self, tensors: Sequence[Tensor], name: str = "gradient") -> list[Tensor]:
        """Return the tensors: one replica has nothing to sum."""
        return list(tensors)

    def messages(self, sizes: Sequence[Size]) -> list[list[int]] | None:
        """Return none: one replica sends nothing."""
        return []

    def concatenate(self, tensor: Tensor, name: str) -> Tensor:
        """Return the tensor: no other replica has rows."""
        return tensor

    def synchronize(self, variables: Sequence[Variable], weights: Sequence[Tensor]) -> None:
        """Do nothing: there is one copy."""

    def broadcast(self, variables: Sequence[Variable]) -> None:
        """Do nothing: there is one copy."""

    def join(self) -> None:
        """Do nothing: no other process waits for this one's sums."""

    def timeline(self, file: Path) -> AbstractContextManager[None]:
        """Record nothing: one process does not communicate."""
        return contextlib.nullcontext()


class Serial(SingleReplica):
    """One process on one GPU, or on the CPU with the threads of its allocation."""

    def __init__(self, task: TaskEnvironment) -> None:
        check_one_process(task)
        self.devices = (use_one_gpu(0),)
        set_threads(task)


def check_one_process(task: TaskEnvironment) -> None:
    """Raise RunError if a launcher started several processes, or the job requested several."""
    launched = launched_by(os.environ)
    found, rank = (launched.size, launched.rank) if launched else (1, 0)
    check_world_size(1, found, rank, "serial", one_process=True)
    check_world_size(task.world_size, 1, 0, "serial")
