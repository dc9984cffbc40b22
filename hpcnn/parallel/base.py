"""The strategy protocol: the whole difference between one process and thousands of GPUs.

Words. A *process* is what the launcher starts: a rank in MPI's sense. A *replica* is one copy of the model on one
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
from typing import Any, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

from hpcnn.util.errors import RunError, bad_value, unknown_value

Vector = npt.NDArray[np.float64]

# Variables of a site's [environment] that change speed and never results; `hpcnn tune` finds their values.
INTRA_OP, INTER_OP = "HPCNN_INTRA_OP_THREADS_PER_CORE", "HPCNN_INTER_OP_THREADS_PER_CORE"
GROUPED, FACTORS = "HPCNN_GROUPED_ALLREDUCE", "HPCNN_FACTORS"
MOST_THREADS_PER_CORE = 16


@dataclass(frozen=True)
class TaskEnvironment:
    """What the job script promised this process.

    world_size: processes that were asked for, or None where nobody asked (a run by hand).
    cpus_per_task: processor cores of this process, or None to take what the operating system allows.
    devices: replicas of a mirrored or multiworker process on CPU, or None for one a GPU (or one on CPU).
    traced: whether what the processes say to each other will be recorded.
    intra_op_per_core, inter_op_per_core: TensorFlow's threads within and between operations, for each core.
    grouped: whether Horovod reduces all gradients in one operation, instead of each as soon as it is ready.
    factors: whether gradients of wide dense layers may be made from factors that the ranks gather (train/factors.py).
    gpus_per_node: GPUs that were asked for, None for none.
    """

    world_size: int | None = None
    cpus_per_task: int | None = None
    devices: int | None = None
    traced: bool = False
    intra_op_per_core: float = 1.0
    inter_op_per_core: float = 1.0
    grouped: bool = False
    factors: bool = True
    gpus_per_node: int | None = None

    @classmethod
    def read(
        cls, environment: Mapping[str, str], devices: int | None = None, *, traced: bool = False
    ) -> TaskEnvironment:
        """Return the promise from the variables that job scripts export. Raises UsageError for a bad one."""
        world, cpus = environment.get("HPCNN_WORLD_SIZE"), environment.get("HPCNN_CPUS_PER_TASK")
        return cls(
            int(world) if world else None,
            int(cpus) if cpus else None,
            devices,
            traced,
            _threads(environment, INTRA_OP),
            _threads(environment, INTER_OP),
            _switch(environment, GROUPED, "0"),
            _switch(environment, FACTORS, "1"),
            int(environment.get("HPCNN_GPUS_PER_NODE") or 0) or None,
        )


def _switch(environment: Mapping[str, str], variable: str, default: str) -> bool:
    value = environment.get(variable) or default
    if value not in ("0", "1"):
        raise unknown_value(variable, value, ("0", "1"))
    return value == "1"


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
    """What the training loop may ask of a strategy. Methods marked *graph* are called while tracing."""

    name: str
    size: int
    """Replicas in all processes: the parts a global batch is divided into."""
    rank: int
    """Number of this process, 0-based."""
    processes: int
    local_rank: int
    """Number of this process among those of its node."""
    devices: Sequence[str]
    """TensorFlow device name of each of this process's replicas."""
    communicates: bool
    """Whether replicas sum what they computed: ``reduce`` and ``synchronize`` look at it while tracing.

    A training sets it before its first step. False measures the ceiling: each replica then trains a network of its own.
    """
    gathers: bool
    """Whether ``concatenate`` is there, and every replica computes the same bits from what it gives to all of them."""
    mpi_version: str | None
    """The MPI library through which the processes meet, or None where they do without."""
    loss_divisor: int
    """What Keras divides every loss by behind the caller's back: the number of replicas under tf.distribute, else 1."""

    @property
    def replicas(self) -> Sequence[int]:
        """Global numbers of this process's replicas."""

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what is written once: rank 0."""

    def scope(self) -> AbstractContextManager[Any]:
        """Return the context in which the model is built and compiled."""

    def adopt(self, optimizer: Any) -> None:
        """Make sure that the optimizer does not reduce gradients a second time."""

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
        """*graph*: call ``function(*args)`` on every local replica; return the results, one a local replica."""

    def local_replica(self) -> Any:
        """*graph, inside run*: return the index of the running replica among the local ones (int or scalar)."""

    def reduce(self, tensors: Sequence[Any], name: str = "gradient") -> list[Any]:
        """*graph, inside run*: sum each tensor over all replicas; differentiable.

        ``name`` tells reductions apart that may be under way at the same time.
        """

    def concatenate(self, tensor: Any, name: str) -> Any:
        """*graph, inside run*: return the rows of every replica's tensor, in the order of the replicas.

        Only of a strategy that ``gathers``. The tensors may differ in their number of rows. No gradient flows back.
        """

    def synchronize(self, variables: Sequence[Any], weights: Sequence[Any]) -> None:
        """*graph, outside run*: replace variables by their weighted average over all replicas.

        weights: of each local replica; they sum to 1 over all.
        """

    def broadcast(self, variables: Sequence[Any]) -> None:
        """Give every process the values that process 0 holds."""

    def reduce_metrics(self, values: Sequence[float]) -> Vector:
        """Sum a short vector of numbers over the processes."""

    def gather(self, values: Sequence[float]) -> npt.NDArray[np.float64]:
        """Collect a short vector from every process: shape (rows, len(values)), at least one row a process."""

    def gather_facts(self, facts: dict[str, Any]) -> list[dict[str, Any]]:
        """Collect a small dictionary from every process, by rank."""

    def barrier(self) -> None:
        """Wait until every process is here."""

    def timeline(self, file: Path) -> AbstractContextManager[None]:
        """Record meanwhile what the processes say to each other, in Chrome's trace format, where the strategy can.

        Only of a task that is ``traced``. Written by rank 0; times count from the wall clock that the file names.
        """


def leave(code: int) -> NoReturn:
    """End this process without MPI_Finalize, which would wait for the others: the launcher then ends them all."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def check_world_size(asked: int | None, found: int, rank: int, strategy: str, *, one_process: bool = False) -> None:
    """Stop a run whose world size is not what was asked: it would measure something else.

    one_process: whether the strategy can be one process only. Raises RunError naming the likely cause.
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
