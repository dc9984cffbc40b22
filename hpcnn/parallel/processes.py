"""How processes tell each other small things: facts, sums of a few numbers, one answer for all. Not gradients.

Nothing here goes from all to all. What is collected goes from the processes of a node to the first of them, and from
those to rank 0; what all must know comes from rank 0 through a tree, and so do sums. So a job of tens of thousands of
processes costs each of them a number of messages that grows with the logarithm of their number (docs/scale.md).

A strategy is one of the two: ``OneProcess``, or ``ManyProcesses`` that MPI connects. Must not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hpcnn.parallel.mpi import firsts_of_nodes, greatest, of_node
from hpcnn.util.types import Vector

if TYPE_CHECKING:
    from hpcnn.parallel.mpi import Communicator

T = TypeVar("T")
Merged = TypeVar("Merged")


class OneProcess:
    """The only process, which has nobody to tell."""

    rank = 0
    processes = 1
    node = 0
    nodes = 1

    @property
    def is_chief(self) -> bool:
        """Return whether this is rank 0."""
        return self.rank == 0

    def reduce_metrics(self, values: Sequence[float] | Vector) -> Vector:
        """Return the values."""
        return np.asarray(values, dtype=np.float64)

    def extremes(self, values: Sequence[float]) -> tuple[Vector, Vector]:
        """Return the values, twice."""
        return np.asarray(values, dtype=np.float64), np.asarray(values, dtype=np.float64)

    def collect_on_node(self, thing: T) -> list[T] | None:
        """Return this process's thing."""
        return [thing]

    def collect_by_node(self, thing: T, merge: Callable[[list[T]], Merged]) -> list[Merged] | None:
        """Return what ``merge`` makes of this process's thing."""
        return [merge([thing])]

    def collect(self, thing: T) -> list[T] | None:
        """Return this process's thing."""
        return [thing]

    def share(self, thing: T | None) -> T:
        """Return the thing."""
        return thing  # type: ignore[return-value]  # rank 0 has one

    def barrier(self) -> None:
        """Do nothing."""


class ManyProcesses(OneProcess):
    """A process among others, connected by MPI."""

    def connect(self, comm: Communicator, node: Communicator | None = None) -> None:
        """Learn who the others are, and who of them is on this node. All processes must call it.

        node: the processes of this node, where MPI is not to find them.
        """
        self._comm = comm
        self._node = of_node(comm) if node is None else node
        self._firsts = firsts_of_nodes(comm, self._node)
        self.rank, self.processes = comm.Get_rank(), comm.Get_size()
        own = (self._firsts.Get_rank(), self._firsts.Get_size()) if self._firsts else None
        self.node, self.nodes = self._node.bcast(own)

    def reduce_metrics(self, values: Sequence[float] | Vector) -> Vector:
        """Sum over the processes in double precision (Horovod would round on some back ends)."""
        own = np.array(values, dtype=np.float64)
        total = np.empty_like(own)
        self._comm.Allreduce(own, total)
        return total

    def extremes(self, values: Sequence[float]) -> tuple[Vector, Vector]:
        """Return the least and the greatest of each value over the processes."""
        found = greatest(self._comm, [*(-value for value in values), *values])
        return -found[: len(values)], found[len(values) :]

    def collect_on_node(self, thing: T) -> list[T] | None:
        """Return the things of this node's processes, by rank, on the first of them; None on the others."""
        return self._node.gather(thing)

    def collect_by_node(self, thing: T, merge: Callable[[list[T]], Merged]) -> list[Merged] | None:
        """Return on rank 0 what ``merge`` makes of the things of each node, by node; None on the others."""
        of_node = self.collect_on_node(thing)
        return self._firsts.gather(merge(of_node)) if self._firsts and of_node is not None else None

    def collect(self, thing: T) -> list[T] | None:
        """Return the things of all processes, by rank, on rank 0; None on the others."""
        nodes = self.collect_by_node((self.rank, thing), list)
        if nodes is None:
            return None
        return [one for _, one in sorted((pair for node in nodes for pair in node), key=lambda pair: pair[0])]

    def share(self, thing: T | None) -> T:
        """Return rank 0's thing on every process."""
        return self._comm.bcast(thing)  # type: ignore[no-any-return]

    def barrier(self) -> None:
        """Wait for all processes."""
        self._comm.Barrier()
