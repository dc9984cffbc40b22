"""Prediction of the epoch times of larger configurations, from measured costs of a step and a model of the allreduce.

T = steps x (compute + max(last message, allreduce - overlap) + input + other). Made from the sizes below the largest
and checked against the largest, which it does not use. Must not import views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hpcnn.analysis.predict.workload import Workload, measured_workload
from hpcnn.interconnect.allreduce import communication, exposed_seconds
from hpcnn.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpcnn.analysis.load import RunData
    from hpcnn.interconnect.allreduce import Cluster

# Back-propagation is about two of the three parts of a step's arithmetic: gradients by the inputs and by the weights
# cost as much as the forward pass each. Messages travel while it computes.
BACKWARD = 2 / 3


class Check(NamedTuple):
    """A measured size that the prediction does not use: ``measured`` and ``predicted`` seconds an epoch on ``ranks``.

    error: predicted over measured, less 1. points: error of the efficiency, in points of 100.
    """

    ranks: int
    measured: float
    predicted: float
    error: float
    points: float


class Prediction(NamedTuple):
    """A table by ``predict``, its workload, its check against a measured size, if there is one, and its assumptions."""

    table: pd.DataFrame
    workload: Workload
    check: Check | None
    assumptions: list[str]


def predict(workload: Workload, ranks: Sequence[int], cluster: Cluster, overlap: float = BACKWARD) -> pd.DataFrame:
    """Return one row for each number of ``ranks``.

    overlap: fraction of a step's compute time behind which messages travel.

    Columns: ``ranks``, ``nodes``, ``batch_size`` (global); ``seconds_per_epoch``, and its bounds for any overlap:
    ``seconds_all_hidden`` (ranks wait for no communication) and ``seconds_none_hidden``; ``speedup`` (strong scaling)
    and ``efficiency``, relative to the measured base case as in a scaling table; and of a step, in s: ``step_compute``,
    ``step_input``, ``step_other``, ``step_allreduce`` (all of it) and ``step_communication`` (the part that ranks wait
    for).
    """
    rows = []
    for number in ranks:
        samples = workload.largest_slice(number)
        compute, fetch = workload.compute.seconds(samples), workload.input.seconds(samples)
        total, last = communication(workload.gradient_bytes, number, cluster)
        waited = exposed_seconds(total, last, overlap * compute)
        other = workload.other.seconds(samples)
        own = compute + fetch + other
        rows.append(
            {
                "ranks": number,
                "nodes": cluster.nodes(number),
                "batch_size": workload.batch_size * (number if workload.kind == "weak" else 1),
                "seconds_per_epoch": workload.steps * (own + waited),
                "seconds_all_hidden": workload.steps * own,
                "seconds_none_hidden": workload.steps * (own + total),
                "step_compute": compute,
                "step_input": fetch,
                "step_other": other,
                "step_allreduce": total,
                "step_communication": waited,
            }
        )
    table = pd.DataFrame(rows)
    faster = workload.base_seconds / table["seconds_per_epoch"]
    strong = workload.kind == "strong"
    ratio = workload.base_ranks / table["ranks"] if strong else 1.0
    table.insert(6, "speedup", faster if strong else np.nan)
    table.insert(7, "efficiency", faster * ratio)
    return table


def predict_study(
    data: RunData,
    rows: pd.DataFrame,
    ranks: Sequence[int],
    cluster: Cluster,
    overlap: float = BACKWARD,
    kind: str | None = None,
    parameters: int | None = None,
) -> Prediction:
    """Return the prediction for ``rows``, one series of a scaling table: made from all sizes but the largest.

    The table of ``predict`` has the further column ``measured_seconds``, NaN where a size was not measured. With one
    size there is nothing to check against, and ``check`` is None. Raises UsageError as ``measured_workload`` does.
    """
    largest = rows["ranks"].max()
    below = rows[rows["ranks"] < largest]
    workload = measured_workload(data, below if len(below) else rows, kind, parameters, exchanged=rows)
    same_kind = workload.kind == rows["kind"].iloc[0]
    check = _check(workload, rows[rows["ranks"] == largest], cluster, overlap) if len(below) and same_kind else None
    measured = rows.groupby("ranks")["epoch_seconds_median"].median() if same_kind else pd.Series(dtype="float64")
    table = predict(workload, ranks, cluster, overlap)
    table = table.assign(measured_seconds=[float(measured.get(number, np.nan)) for number in ranks])
    return Prediction(table, workload, check, assumptions(workload, cluster, overlap, max(ranks)))


def _check(workload: Workload, held_out: pd.DataFrame, cluster: Cluster, overlap: float) -> Check:
    ranks, measured = int(held_out["ranks"].iloc[0]), float(held_out["epoch_seconds_median"].median())
    row = predict(workload, [ranks], cluster, overlap).iloc[0]
    predicted, efficiency = float(row["seconds_per_epoch"]), float(row["efficiency"])
    real = efficiency * predicted / measured
    return Check(ranks, measured, predicted, predicted / measured - 1, 100 * (efficiency - real))


def assumptions(workload: Workload, cluster: Cluster, overlap: float, ranks: int) -> list[str]:
    """Return the assumptions of a prediction up to ``ranks``, in words with their numbers."""
    size = workload.gradient_bytes
    messages = max(1, -(-size // int(cluster.fusion_bytes)))
    of = "what moves as much as the factors sent" if workload.factored else f"{size // 4:,} parameters of float32"
    sizes = ", ".join(map(str, workload.measured_on))
    held = "samples and batch" if workload.kind == "strong" else "samples and batch of each rank"
    lines = [
        f"{workload.kind} scaling: {held} stay {workload.samples:,} and {workload.batch_size:,}; every rank is as fast "
        f"as the slowest where measured (ranks {sizes}): no stragglers, no jitter, nothing shared more than there",
        _split(workload),
        f"gradients: {size:,} bytes a step ({of}) in {counted(messages, 'message')} of "
        f"up to {cluster.fusion_bytes / 2**20:g} MiB, each half a cycle of {cluster.cycle_seconds * 1e3:g} ms late",
        f"{cluster.algorithm} allreduce, {counted(cluster.ranks_per_node, 'rank')} a node with "
        f"{counted(cluster.adapters, 'adapter')}; nobody else uses the network; the sum itself costs nothing",
        f"between nodes: {cluster.network} [{cluster.network.source}]",
    ]
    if cluster.ranks_per_node > 1:
        lines.append(f"within a node: {cluster.within} [{cluster.within.source}]")
    lines.append(f"messages but the last travel behind {overlap:.0%} of the compute time")
    if workload.kind == "strong" and ranks > workload.batch_size:
        lines.append(f"beyond {workload.batch_size:,} ranks a rank has no sample of its own in a step")
    return lines


def _split(workload: Workload) -> str:
    if not workload.split:
        return "the runs do not tell compute, input and communication apart: all of their time counts as compute"
    parts = {"compute": workload.compute, "input": workload.input, "other": workload.other}
    lines = [f"{name} {cost.fixed * 1e3:.3g} + {cost.per_sample * 1e3:.3g} n ms" for name, cost in parts.items()]
    return f"a step of n samples a rank: {', '.join(lines)}"
