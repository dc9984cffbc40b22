"""One process, one device: what every other strategy is measured against."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from hpcnn.parallel.base import TaskEnvironment, Vector, check_world_size
from hpcnn.parallel.devices import set_threads, use_one_gpu
from hpcnn.parallel.launcher import launched_by


class SingleReplica:
    """What all strategies with one replica a process have in common; by itself, the arithmetic of one process."""

    name = "serial"
    size = 1
    rank = 0
    processes = 1
    local_rank = 0
    devices: Sequence[str] = ("/CPU:0",)
    communicates = True
    gathers = False
    mpi_version: str | None = None
    loss_divisor = 1

    @property
    def replicas(self) -> Sequence[int]:
        """Return the number of the one replica: the rank."""
        return (self.rank,)

    @property
    def is_chief(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def scope(self) -> AbstractContextManager[Any]:
        """Return an empty context: variables are ordinary ones."""
        return contextlib.nullcontext()

    def adopt(self, optimizer: Any) -> None:
        """Leave the optimizer alone: outside tf.distribute it reduces nothing."""

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
        """Call the function once."""
        return [function(*args)]

    def local_replica(self) -> Any:
        """Return 0: a process has one replica."""
        return 0

    def reduce(self, tensors: Sequence[Any], name: str = "gradient") -> list[Any]:
        """Return the tensors: there is nothing to add."""
        return list(tensors)

    def concatenate(self, tensor: Any, name: str) -> Any:
        """Return the tensor: there are no other rows."""
        return tensor

    def synchronize(self, variables: Sequence[Any], weights: Sequence[Any]) -> None:
        """Do nothing: there is one copy."""

    def broadcast(self, variables: Sequence[Any]) -> None:
        """Do nothing: there is one copy."""

    def reduce_metrics(self, values: Sequence[float]) -> Vector:
        """Return the values."""
        return np.asarray(values, dtype=np.float64)

    def gather(self, values: Sequence[float]) -> Vector:
        """Return one row."""
        return np.asarray([values], dtype=np.float64)

    def gather_facts(self, facts: dict[str, Any]) -> list[dict[str, Any]]:
        """Return this process's facts."""
        return [facts]

    def barrier(self) -> None:
        """Do nothing."""

    def timeline(self, file: Path) -> AbstractContextManager[None]:
        """Record nothing: there is nobody to talk to."""
        return contextlib.nullcontext()


class Serial(SingleReplica):
    """One process on one GPU, or on the CPU with the threads of its allocation."""

    def __init__(self, task: TaskEnvironment) -> None:
        check_alone(task)
        self.devices = (use_one_gpu(0),)
        set_threads(task)


def check_alone(task: TaskEnvironment) -> None:
    """Raise RunError where a launcher started several processes, or the job asked for several."""
    launched = launched_by(os.environ)
    found, rank = (launched.size, launched.rank) if launched else (1, 0)
    check_world_size(1, found, rank, "serial", one_process=True)
    check_world_size(task.world_size, 1, 0, "serial")
