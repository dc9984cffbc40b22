"""Simulated processes of a job, as many as one likes, in one process: their messages are counted, their files are real.

The processes take their turns by rank, each from its begin to its end. So what rank 0, or the first of a node, tells
the others is there when they ask; what those gather is made of what they say themselves, with the others' ranks in it.
The communicator has nothing that goes from all to all: code that wants an ``allgather`` fails.
"""

from __future__ import annotations

import math
import pickle
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from hpcnn.parallel import processes
from hpcnn.parallel.processes import ManyProcesses
from hpcnn.parallel.serial import SingleReplica


@dataclass
class Traffic:
    """What all simulated processes have done together.

    calls: of rank 0 alone, by collective operation. bytes_at_rank_0: that others sent it.
    most_messages: of one process in one operation, sent or received, where a tree or a gathering root does it.
    """

    calls: Counter[str] = field(default_factory=Counter)
    bytes_at_rank_0: int = 0
    most_messages: int = 0
    told: dict[str, list[Any]] = field(default_factory=dict, repr=False)

    def count(self, operation: str, end: End, messages: int, received: int = 0) -> None:
        """Count one operation at one end of a communicator."""
        self.most_messages = max(self.most_messages, messages)
        if end.of_rank_0:
            self.calls[operation] += 1
            self.bytes_at_rank_0 += received


@dataclass
class End:
    """One process's end of a communicator. first, distance: the ranks of its processes in the job."""

    name: str
    rank: int
    size: int
    traffic: Traffic
    first: int = 0
    distance: int = 1
    heard: int = 0

    @property
    def of_rank_0(self) -> bool:
        """Whether this is the end of the job's rank 0."""
        return self.rank == self.first == 0

    @property
    def _of_a_tree(self) -> int:
        return 2 * math.ceil(math.log2(max(self.size, 2)))

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return self.size

    def Barrier(self) -> None:
        self.traffic.count("barrier", self, self._of_a_tree)

    def bcast(self, thing: Any) -> Any:
        self.traffic.count("bcast", self, self._of_a_tree)
        told = self.traffic.told.setdefault(self.name, [])
        if self.rank == 0:
            told.append(thing)
        self.heard += 1
        return told[self.heard - 1]

    def gather(self, thing: Any) -> list[Any] | None:
        if self.rank:
            self.traffic.count("gather", self, 1)
            return None
        others = (self.size - 1) * len(pickle.dumps(thing))
        self.traffic.count("gather", self, self.size - 1, others)
        return [_as_said_by(thing, number * self.distance) for number in range(self.size)]

    def Allreduce(self, own: Any, found: Any) -> None:
        self.traffic.count("allreduce", self, self._of_a_tree, own.nbytes)
        found[:] = own


def _as_said_by(thing: Any, further: int) -> Any:
    """Return what the process says whose rank is so much higher."""
    if not isinstance(thing, dict):
        return thing
    said = dict(thing)
    if "ranks" in said:
        said["ranks"] = [_as_said_by(rank, further) for rank in said["ranks"]]
    for key in ("rank", "pid"):
        if key in said:
            said[key] += further
    if "cores_allowed" in said:
        said["cores_allowed"] = [core + further * len(said["cores_allowed"]) for core in said["cores_allowed"]]
    return said


class Simulated(ManyProcesses, SingleReplica):
    """One rank of many, of so many a node."""

    name = "horovod"

    def __init__(self, rank: int, ranks: int, per_node: int, traffic: Traffic) -> None:
        node, local = divmod(rank, per_node)
        here = min(per_node, ranks - node * per_node)
        self.firsts = End("firsts", node, -(-ranks // per_node), traffic, distance=per_node) if local == 0 else None
        self.connect(
            End("world", rank, ranks, traffic),  # type: ignore[arg-type]
            End(f"node {node}", local, here, traffic, first=node * per_node),  # type: ignore[arg-type]
        )
        self.size, self.local_rank = ranks, local


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> type[Simulated]:
    """Return the class of simulated ranks, which do without MPI."""
    ranks: list[Simulated] = []
    connect = Simulated.connect

    def connect_simulated(self: Simulated, comm: Any, node: Any = None) -> None:
        ranks[:] = [self]
        connect(self, comm, node)

    def greatest(comm: End, values: Any) -> Any:
        comm.Allreduce(np.asarray(values, np.float64), found := np.empty(len(values)))
        return found

    monkeypatch.setattr(Simulated, "connect", connect_simulated)
    monkeypatch.setattr(processes, "firsts_of_nodes", lambda comm, node: ranks[0].firsts)
    monkeypatch.setattr(processes, "greatest", greatest)
    return Simulated
