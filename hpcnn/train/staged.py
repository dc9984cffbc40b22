"""What the record says of data that the job has copied to its nodes: seconds, and the nodes that read originals."""

from __future__ import annotations

import os
from collections.abc import Callable

from hpcnn.data.copies import OnNode, of_node, of_this_rank, staged_here
from hpcnn.parallel.base import Strategy
from hpcnn.rundir.staging import VARIABLE, Staging
from hpcnn.util.text import counted, first_few


def say_staged(strategy: Strategy, mark: Callable[..., object], say: Callable[[str], object]) -> None:
    """Say and record what was copied; all ranks call it, after they have opened their data.

    mark: called with the event ``staged``. say: takes a line for people. Without copies nothing is said.
    """
    if not os.environ.get(VARIABLE):
        return
    nodes = strategy.collect_by_node(of_this_rank(), of_node)
    staging = staged_here()
    if nodes is None or staging is None:
        return
    without = [node for node in nodes if node.originals]
    say(_line(staging, without))
    mark(
        "staged",
        staging.seconds,
        files=sum(one.files for one in staging.staged),
        bytes=sum(one.bytes for one in staging.staged),
        how=sorted({one.how for one in staging.staged}),
        nodes=staging.nodes,
        originals={node.host: dict(node.originals) for node in without},
    )


def _line(staging: Staging, without: list[OnNode]) -> str:
    files, size = (sum(getattr(one, name) for one in staging.staged) for name in ("files", "bytes"))
    how = " and ".join(sorted({one.how for one in staging.staged}))
    where = "this node's disk" if staging.nodes == 1 else f"the disks of {staging.nodes} nodes"
    line = f"copied {counted(files, 'file')} ({size / 1e6:,.1f} MB) to {where} in {staging.seconds:.1f} s, by {how}"
    if without:
        line += f"; {first_few([node.host for node in without])} read the original: {without[0].originals[0][1]}"
    return line
