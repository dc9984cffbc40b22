"""The parts of the data that the nodes of a training keep to themselves (``--shuffle node:N``), as its ranks agree."""

from __future__ import annotations

from hpcnn.data.dataset import DataSet
from hpcnn.data.stream.given import has_numbers
from hpcnn.parallel.base import Strategy
from hpcnn.specs.shuffle import block_size, is_by_node
from hpcnn.specs.train import TrainSpec
from hpcnn.train.node_order import Parts
from hpcnn.util.errors import bad_value


def parts_of(spec: TrainSpec, data: DataSet, batch: int, strategy: Strategy) -> Parts | None:
    """Return the part of each node, None where the spec does not ask for any; all ranks must call it.

    Raises UsageError for data whose samples have no numbers, and for too many blocks.
    """
    if spec.shuffle not in ("global", "none") and not has_numbers(data):
        raise bad_value(
            "--shuffle", spec.shuffle, f"no value with {spec.data}: its elements have an order of their own"
        )
    if not is_by_node(spec.shuffle):
        return None
    of_ranks = strategy.share(strategy.collect((strategy.node, len(strategy.replicas))))
    assert of_ranks is not None
    nodes = [node for node, replicas in of_ranks for _ in range(replicas)]
    return Parts(data.samples, block_size(spec.shuffle), spec.seed, batch, nodes)


def parts_line(parts: Parts) -> str:
    """Return what people are told of the parts."""
    counts = [len(part) for part in parts.parts]
    of_each = f"{counts[0]:,}" if len(set(counts)) == 1 else f"{min(counts):,} to {max(counts):,}"
    whose = "the node" if len(counts) == 1 else f"each of {len(counts)} nodes"
    return f"{whose} trains on {of_each} samples, blocks of its own: the result depends on the nodes and their ranks"
