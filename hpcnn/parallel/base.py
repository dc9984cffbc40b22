"""The strategy protocol: all that differs between one process and thousands of GPUs.

Terms. The launcher starts *processes*: ranks in MPI's sense. A *replica* is one copy of the model on one
device. Serial and Horovod have one replica a process; MirroredStrategy has one a device. A global batch is divided
among all ``size`` replicas, and gradients are **summed** over them: the caller weights each replica's loss by its
share of the global batch, which stays right when the batch does not divide evenly.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

from hpcnn.parallel.buckets import Size
from hpcnn.util.errors import RunError, bad_value, unknown_value
from hpcnn.util.types import Optimizer, Tensor, Variable, Vector

# Variables of a site's [environment] that change speed and never results; `hpcnn tune` finds their values.
INTRA_OP, INTER_OP = "HPCNN_INTRA_OP_THREADS_PER_CORE", "HPCNN_INTER_OP_THREADS_PER_CORE"
GROUPED, FACTORS = "HPCNN_GROUPED_ALLREDUCE", "HPCNN_FACTORS"
_GROUPINGS = {"auto": "auto", "0": "none", "1": "all"}
MOST_THREADS_PER_CORE = 16

T = TypeVar("T")
Merged = TypeVar("Merged")


@dataclass(frozen=True)
class TaskEnvironment:
    """The resources and settings of this process, as the job script exports them.

    world_size: requested number of processes, or None for a run by hand.
    cpus_per_task: processor cores of this process, or None for all that the operating system allows.
    devices: replicas of a mirrored or multiworker process on CPU, or None for one per GPU (or one on CPU).
    traced: whether the communication of the processes will be recorded.
    intra_op_per_core, inter_op_per_core: TensorFlow's threads within and between operations, per core.
    grouping: which gradients Horovod reduces in one operation: ``auto``, small ones (buckets.py); ``none``; ``all``.
    factors: whether gradients of wide dense layers may be computed from gathered factors (train/factors.py).
    gpus_per_node: requested GPUs, or None.
    """

    world_size: int | None = None
    cpus_per_task: int | None = None
    devices: int | None = None
    traced: bool = False
    intra_op_per_core: float = 1.0
    inter_op_per_core: float = 1.0
    grouping: str = "auto"
    factors: bool = True
    gpus_per_node: int | None = None

    @classmethod
    def read(
        cls, environment: Mapping[str, str], devices: int | None = None, *, traced: bool = False
    ) -> TaskEnvironment:
        """Read the environment variables that job scripts export. Raises UsageError for an invalid one."""
        world, cpus = environment.get("HPCNN_WORLD_SIZE"), environment.get("HPCNN_CPUS_PER_TASK")
        return cls(
            int(world) if world else None,
            int(cpus) if cpus else None,
            devices,
            traced,
            _threads(environment, INTRA_OP),
            _threads(environment, INTER_OP),
            _GROUPINGS[_one_of(environment, GROUPED, "auto", tuple(_GROUPINGS))],
            _one_of(environment, FACTORS, "1", ("0", "1")) == "1",
            int(environment.get("HPCNN_GPUS_PER_NODE") or 0) or None,
        )


def _one_of(environment: Mapping[str, str], variable: str, default: str, values: Sequence[str]) -> str:
    value = environment.get(variable) or default
    if value not in values:
        raise unknown_value(variable, value, values)
    return value


def _threads(environment: Mapping[str, str], variable: str) -> float:
    text = environment.get(variable) or "1"
    try:
        per_core = float(text)
    except ValueError:
        per_core = math.nan
    if not 0 < per_core <= MOST_THREADS_PER_CORE:
        raise bad_value(variable, text, f"threads for each core: more than 0, at most {MOST_THREADS_PER_CORE}")
    return per_core


class Strategy(Protocol):
    """What a strategy offers to the training loop. Methods marked *graph* are called while tracing."""

    name: str
    size: int
    """Number of replicas in all processes: the parts of a global batch."""
    rank: int
    """Index of this process, from 0."""
    processes: int
    node: int
    """Index of this process's node among those of the job, from 0; rank 0 is on the first."""
    nodes: int
    local_rank: int
    """Index of this process among those of its node."""
    devices: Sequence[str]
    """TensorFlow device name of each of this process's replicas."""
    communicates: bool
    """Whether replicas sum their gradients and statistics: ``reduce`` and ``synchronize`` read it while tracing.

    A training sets it before its first step. False measures the ceiling: each replica then trains a network of its own.
    """
    gathers: bool
    """Whether ``concatenate`` is available, and all replicas compute identical bits from its result."""
    mpi_version: str | None
    """The MPI library that connects the processes, or None without MPI."""

    @property
    def replicas(self) -> Sequence[int]:
        """Return the global indices of this process's replicas."""

    @property
    def is_chief(self) -> bool:
        """Return whether this is rank 0, the process that writes shared files."""

    def scope(self) -> AbstractContextManager[object]:
        """Return the context in which the model is built and compiled."""

    def prepare_optimizer(self, optimizer: Optimizer) -> None:
        """Keep the optimizer from reducing gradients that ``reduce`` has reduced."""

    def undivided_losses(self) -> AbstractContextManager[object]:
        """*graph*: return a context in which Keras does not divide its losses by the number of replicas."""

    def run(self, function: Callable[..., Tensor], args: tuple[Tensor, ...]) -> list[Tensor]:
        """*graph*: call ``function(*args)`` on every local replica; return one result per local replica."""

    def local_replica(self) -> int | Tensor:
        """*graph, inside run*: return the index of the running replica among the local ones (int or scalar)."""

    def reduce(self, tensors: Sequence[Tensor], name: str = "gradient") -> list[Tensor]:
        """*graph, inside run*: sum each tensor over all replicas; differentiable.

        ``name`` distinguishes reductions that may run at the same time.
        """

    def messages(self, sizes: Sequence[Size]) -> list[list[int]] | None:
        """Return the tensors, by their numbers, of each message of ``reduce``; None where TensorFlow divides them."""

    def concatenate(self, tensor: Tensor, name: str) -> Tensor:
        """*graph, inside run*: return the rows of every replica's tensor, in the order of the replicas.

        Only of a strategy that ``gathers``. The tensors may differ in their number of rows. No gradient flows back.
        """

    def synchronize(self, variables: Sequence[Variable], weights: Sequence[Tensor]) -> None:
        """*graph, outside run*: replace variables by their weighted average over all replicas.

        weights: of each local replica; they sum to 1 over all.
        """

    def broadcast(self, variables: Sequence[Variable]) -> None:
        """Copy the values of process 0 to all processes."""

    def reduce_metrics(self, values: Sequence[float] | Vector) -> Vector:
        """Sum a short vector of numbers over the processes."""

    def extremes(self, values: Sequence[float]) -> tuple[Vector, Vector]:
        """Return the least and the greatest of each value over the processes."""

    def collect_on_node(self, thing: T) -> list[T] | None:
        """Return the things of this node's processes, by rank, on the first of them; None on the others."""

    def collect_by_node(self, thing: T, merge: Callable[[list[T]], Merged]) -> list[Merged] | None:
        """Return on rank 0 what ``merge`` makes of the things of each node, by node; None on the others."""

    def collect(self, thing: T) -> list[T] | None:
        """Return the things of all processes, by rank, on rank 0; None on the others."""

    def share(self, thing: T | None) -> T:
        """Return rank 0's thing on every process."""

    def barrier(self) -> None:
        """Wait for all processes."""

    def join(self) -> None:
        """Add zeros to the sums of processes that do more steps, until all processes have called this."""

    def timeline(self, file: Path) -> AbstractContextManager[None]:
        """Record the communication of the processes in Chrome's trace format, if the strategy can.

        Only of a task that is ``traced``. Written by rank 0; times count from the wall clock that the file names.
        """


def exit_without_finalize(code: int) -> NoReturn:
    """End this process without MPI_Finalize, which would wait for the other ranks: the launcher then ends them all."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def check_world_size(asked: int | None, found: int, rank: int, strategy: str, *, one_process: bool = False) -> None:
    """Raise RunError, naming the likely cause, if the world size differs from the requested one.

    one_process: whether the strategy supports one process only.
    """
    if asked is None or asked == found:
        return
    if one_process:
        cause = (
            "it is one process, and a launcher started several; for several ranks: --strategy horovod or multiworker"
        )
    elif found == 1:
        cause = (
            "every process is rank 0 of 1: the launcher and this MPI do not speak the same process-management "
            "interface. Start the ranks with the mpirun of the same MPI, or give srun another --mpi "
            "(srun --mpi=list shows which there are)"
        )
    else:
        cause = "the launcher started another number of processes than the job asked for"
    raise RunError(
        f"world size: {asked} {'rank was' if asked == 1 else 'ranks were'} asked for, but strategy {strategy!r} "
        f"found {found} (this is rank {rank}). Likely cause: {cause}."
    )
