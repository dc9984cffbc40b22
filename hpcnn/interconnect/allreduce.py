"""Model the time of an allreduce of gradients: by a ring, a tree or the hierarchical algorithm.

Sources: R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of Collective Communication Operations in MPICH"
(IJHPCA 19, 2005) for ring and tree; P. Patarasuk and X. Yuan, "Bandwidth optimal all-reduce algorithms" (JPDC 69,
2009) for the ring; Horovod's documentation for fusion and cycle time. The time of the additions is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpcnn.interconnect.links import Link

ALGORITHMS = ("ring", "tree", "hierarchical")

# Horovod's defaults: HOROVOD_FUSION_THRESHOLD (bytes) and HOROVOD_CYCLE_TIME (seconds).
FUSION_BYTES = 128 * 2**20
CYCLE_SECONDS = 1e-3


@dataclass(frozen=True)
class Cluster:
    """How ranks are connected, and how their gradients are summed.

    network: the link of one adapter between nodes. within: the link between two ranks of a node. ranks_per_node: how
    many share a node and its ``adapters``. fusion_bytes: gradients are sent in messages of up to so many bytes, each
    of which waits for the next of the cycles that begin every cycle_seconds.
    """

    network: Link
    within: Link
    ranks_per_node: int = 1
    adapters: int = 1
    algorithm: str = "ring"
    fusion_bytes: float = FUSION_BYTES
    cycle_seconds: float = CYCLE_SECONDS

    def nodes(self, ranks: int) -> int:
        """Return how many nodes ``ranks`` fill."""
        return math.ceil(ranks / self.ranks_per_node)

    def flat(self, ranks: int) -> tuple[float, float]:
        """Return latency (s) and bandwidth (bytes/s) of the slowest link on a path through all ``ranks``."""
        if self.nodes(ranks) == 1:
            return self.within.alpha, self.within.beta
        return max(self.network.alpha, self.within.alpha), min(self.network.beta * self.adapters, self.within.beta)


def ring(ranks: int, size: float, alpha: float, beta: float) -> float:
    """Return the seconds of a ring allreduce of ``size`` bytes: 2(p-1) alpha + 2 (p-1)/p n/beta."""
    return 2 * (ranks - 1) * alpha + 2 * (ranks - 1) / ranks * size / beta


def tree(ranks: int, size: float, alpha: float, beta: float) -> float:
    """Return the seconds of a reduce and a broadcast over a binary tree: 2 ceil(log2 p) (alpha + n/beta)."""
    return 2 * math.ceil(math.log2(ranks)) * (alpha + size / beta)


def hierarchical(
    nodes: int, local: int, size: float, within: tuple[float, float], between: tuple[float, float]
) -> float:
    """Return the seconds of an allreduce over N ``nodes`` of G = ``local`` ranks, in three steps.

    Reduce-scatter in each node, G simultaneous rings between nodes of n/G bytes each, allgather in each node:
    2(G-1) a1 + 2 (G-1)/G n/b1 + 2(N-1) a2 + 2 (N-1)/N (n/G)/b2. ``within`` is (a1, b1); ``between`` is (a2, b2), where
    b2 is what **each** of the G rings gets of the node's adapters.
    """
    return ring(local, size, *within) + ring(nodes, size / local, *between)


def allreduce_seconds(size: float, ranks: int, cluster: Cluster) -> float:
    """Return the seconds of one allreduce of one message of ``size`` bytes over ``ranks``; 0 for one rank."""
    if ranks == 1:
        return 0.0
    if cluster.algorithm == "ring":
        return ring(ranks, size, *cluster.flat(ranks))
    if cluster.algorithm == "tree":
        return tree(ranks, size, *cluster.flat(ranks))
    local = min(ranks, cluster.ranks_per_node)
    of_each_ring = cluster.network.beta * cluster.adapters / local
    within = (cluster.within.alpha, cluster.within.beta)
    return hierarchical(cluster.nodes(ranks), local, size, within, (cluster.network.alpha, of_each_ring))


def communication(size: float, ranks: int, cluster: Cluster) -> tuple[float, float]:
    """Return the seconds of the allreduce of one step's gradients, ``size`` bytes, and those of its last message.

    The gradients travel in ceil(n/F) messages of equal size, one after the other. A message waits half a cycle on
    average.
    """
    if ranks == 1:
        return 0.0, 0.0
    messages = max(1, math.ceil(size / cluster.fusion_bytes))
    last = cluster.cycle_seconds / 2 + allreduce_seconds(size / messages, ranks, cluster)
    return messages * last, last


def exposed_seconds(total: float, last: float, hidden: float) -> float:
    """Return the seconds of communication that computation does not hide: max(last, total - hidden).

    hidden: the seconds of computation that overlap with messages. Nothing overlaps with the last message:
    back-propagation computes its gradients last. With ``hidden`` 0 a step waits for all of ``total``.
    """
    return max(last, total - hidden)
