"""Prediction of the epoch times of larger configurations, from measured costs of a step and a model of the allreduce.

T = steps x (compute + input + other + jitter + max(last message, allreduce - overlap)). Checked against the largest
size, by a model of the sizes below it, and then made from all sizes. Must not import views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hpcnn.analysis.fits import times_of
from hpcnn.analysis.predict.interval import bounds, no_bounds, refitted
from hpcnn.analysis.predict.workload import Workload, measured_workload, sizes_of
from hpcnn.analysis.series import runs_of
from hpcnn.interconnect.allreduce import communication, exposed_seconds
from hpcnn.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpcnn.analysis.load import RunData
    from hpcnn.analysis.predict.interval import Bounds, Model
    from hpcnn.analysis.predict.workload import Sizes
    from hpcnn.interconnect.allreduce import Cluster
    from hpcnn.util.types import Array

# Back-propagation is about two of the three parts of a step's arithmetic: gradients by the inputs and by the weights
# cost as much as the forward pass each. Messages travel while it computes.
BACKWARD = 2 / 3
# A relative difference that is smaller does not show in measured times.
_VISIBLE = 0.01


class Check(NamedTuple):
    """The largest measured size, by a model that does not use it: its ``measured`` and ``predicted`` seconds an epoch.

    used: the sizes of the model. error: predicted over measured, less 1. points: error of the efficiency, in points of
    100.
    """

    ranks: int
    used: tuple[int, ...]
    measured: float
    predicted: float
    error: float
    points: float


class Prediction(NamedTuple):
    """A table by ``predict_study``: its workload, its check, if there is one, its bounds, and its assumptions."""

    table: pd.DataFrame
    workload: Workload
    check: Check | None
    bounds: Bounds
    assumptions: list[str]


def predict(workload: Workload, ranks: Sequence[int], cluster: Cluster, overlap: float = BACKWARD) -> pd.DataFrame:
    """Return one row for each number of ``ranks``.

    overlap: fraction of a step's compute time behind which messages travel.

    Columns: ``ranks``, ``nodes``, ``batch_size`` (global); ``seconds_per_epoch``, and its bounds for any overlap:
    ``seconds_all_hidden`` (ranks wait for no communication) and ``seconds_none_hidden``; ``speedup`` (strong scaling)
    and ``efficiency``, relative to the measured base case as in a scaling table; and of a step, in s: ``step_compute``,
    ``step_input``, ``step_other``, ``step_jitter`` (by which the slowest rank exceeds the mean), ``step_allreduce``
    (all of it) and ``step_communication`` (the part that ranks wait for).
    """
    table = pd.DataFrame([_row(workload, number, cluster, overlap) for number in ranks])
    faster = workload.base_seconds / table["seconds_per_epoch"]
    strong = workload.kind == "strong"
    ratio = workload.base_ranks / table["ranks"] if strong else 1.0
    table.insert(6, "speedup", faster if strong else np.nan)
    table.insert(7, "efficiency", faster * ratio)
    return table


def epoch_seconds(workload: Workload, ranks: Sequence[int], cluster: Cluster, overlap: float = BACKWARD) -> Array:
    """Return the column ``seconds_per_epoch`` of ``predict`` alone."""
    return np.array([_row(workload, number, cluster, overlap)["seconds_per_epoch"] for number in ranks])


def _row(workload: Workload, number: int, cluster: Cluster, overlap: float) -> dict[str, float]:
    samples = workload.largest_slice(number)
    compute, fetch = workload.compute.seconds(samples), workload.input.seconds(samples)
    total, last = communication(workload.gradient_bytes, number, cluster)
    waited = exposed_seconds(total, last, overlap * compute)
    other, jitter = workload.other.seconds(samples), workload.jitter_seconds(number)
    own = compute + fetch + other + jitter
    return {
        "ranks": number,
        "nodes": cluster.nodes(number),
        "batch_size": workload.batch_size * (number if workload.kind == "weak" else 1),
        "seconds_per_epoch": workload.steps * (own + waited),
        "seconds_all_hidden": workload.steps * own,
        "seconds_none_hidden": workload.steps * (own + total),
        "step_compute": compute,
        "step_input": fetch,
        "step_other": other,
        "step_jitter": jitter,
        "step_allreduce": total,
        "step_communication": waited,
    }


def predict_study(
    data: RunData,
    rows: pd.DataFrame,
    ranks: Sequence[int],
    cluster: Cluster,
    overlap: float = BACKWARD,
    kind: str | None = None,
    parameters: int | None = None,
) -> Prediction:
    """Return the prediction for ``rows``, one series of a scaling table, from all of its sizes.

    The table of ``predict`` has further columns: ``seconds_low`` and ``seconds_high``, the bounds of seconds_per_epoch
    by ``interval.bounds``, NaN where there are none; and ``measured_seconds``, NaN where a size was not measured. With
    one size there is nothing to check against, and ``check`` is None. Raises UsageError as ``measured_workload`` does.
    """

    def model(workload: Workload, ranks: Sequence[int]) -> Array:
        return epoch_seconds(workload, ranks, cluster, overlap)

    sizes = sizes_of(data, rows)
    workload = measured_workload(data, rows, kind, parameters, sizes)
    same_kind = workload.kind == rows["kind"].iloc[0]
    check = _check(model, workload, sizes) if same_kind else None
    measured = rows.groupby("ranks")["epoch_seconds_median"].median() if same_kind else pd.Series(dtype="float64")
    if same_kind:
        found = bounds(model, workload, sizes, times_of(runs_of(data, rows)), ranks)
    else:
        found = no_bounds(len(ranks), "another kind of scaling was measured")
    table = predict(workload, ranks, cluster, overlap)
    table.insert(4, "seconds_low", found.low)
    table.insert(5, "seconds_high", found.high)
    table = table.assign(measured_seconds=[float(measured.get(number, np.nan)) for number in ranks])
    return Prediction(table, workload, check, found, assumptions(workload, cluster, overlap, ranks))


def _check(model: Model, workload: Workload, sizes: Sizes) -> Check | None:
    """Return how the model of all sizes but the largest predicts that; None where it is the only one."""
    largest = sizes.ranks.max()
    below = sizes.below(largest)
    if not len(below.ranks):
        return None
    measured = float(np.median(sizes.seconds[sizes.ranks == largest]))
    (predicted,) = model(refitted(workload, below), [int(largest)]).tolist()
    ratio = workload.base_ranks / largest if workload.kind == "strong" else 1.0
    points = 100 * ratio * workload.base_seconds * (1 / predicted - 1 / measured)
    used = tuple(int(number) for number in np.unique(below.ranks))
    return Check(int(largest), used, measured, predicted, predicted / measured - 1, points)


def assumptions(workload: Workload, cluster: Cluster, overlap: float, ranks: Sequence[int]) -> list[str]:
    """Return the assumptions of a prediction for ``ranks``, in words with their numbers."""
    size = workload.gradient_bytes
    messages = max(1, -(-size // int(cluster.fusion_bytes)))
    of = "what moves as much as the factors sent" if workload.factored else f"{size // 4:,} parameters of float32"
    sizes = ", ".join(map(str, workload.measured_on))
    held = "samples and batch" if workload.kind == "strong" else "samples and batch of each rank"
    lines = [
        f"{workload.kind} scaling: {held} stay {workload.samples:,} and {workload.batch_size:,}; every rank is as fast "
        f"on average as where measured (ranks {sizes}): no stragglers, nothing shared more than there",
        _split(workload),
        _jitter(workload, max(ranks)),
        f"gradients: {size:,} bytes a step ({of}) in {counted(messages, 'message')} of "
        f"up to {cluster.fusion_bytes / 2**20:g} MiB, each half a cycle of {cluster.cycle_seconds * 1e3:g} ms late",
        f"{cluster.algorithm} allreduce, {counted(cluster.ranks_per_node, 'rank')} a node with "
        f"{counted(cluster.adapters, 'adapter')}; nobody else uses the network; the sum itself costs nothing",
        f"between nodes: {cluster.network} [{cluster.network.source}]",
    ]
    if cluster.ranks_per_node > 1:
        lines.append(f"within a node: {cluster.within} [{cluster.within.source}]")
    tested = _moved(workload, cluster, ranks)
    lines.append(f"messages but the last travel behind {overlap:.0%} of the compute time{tested}")
    if workload.kind == "strong" and max(ranks) > workload.batch_size:
        lines.append(f"beyond {workload.batch_size:,} ranks a rank has no sample of its own in a step")
    return lines


def _jitter(workload: Workload, ranks: int) -> str:
    if workload.deviation is None:
        return "jitter: none, for no run records how much its steps differ: too fast, the more so on more ranks"
    samples = workload.largest_slice(ranks)
    mean = sum(cost.seconds(samples) for cost in (workload.compute, workload.input, workload.other))
    deviation = workload.deviation.seconds(samples)
    return (
        f"jitter: a rank's steps differ by {deviation / mean:.1%} (skewness {workload.skewness:.2g}), independently of "
        f"each other; the slowest of {counted(ranks, 'rank')} takes {workload.jitter_seconds(ranks) / mean:.1%} longer "
        "than the mean"
    )


def _moved(workload: Workload, cluster: Cluster, ranks: Sequence[int]) -> str:
    """Return whether any measured or predicted size would show another overlap: one message hides behind nothing."""
    more = [number for number in (*workload.measured_on, *ranks) if number > 1]
    moved = {
        number: abs(_row(workload, number, cluster, 0.0)["seconds_per_epoch"] / other - 1) > _VISIBLE
        for number in more
        if (other := _row(workload, number, cluster, 1.0)["seconds_per_epoch"])
    }
    if any(moved[number] for number in workload.measured_on if number > 1):
        return ""
    if any(moved.values()):
        return ", which the measured sizes do not test: any other share gives the same there"
    return ", which changes nothing here"


def _split(workload: Workload) -> str:
    if not workload.split:
        return "the runs do not tell compute, input and communication apart: all of their time counts as compute"
    parts = {"compute": workload.compute, "input": workload.input, "other": workload.other}
    lines = [f"{name} {cost.fixed * 1e3:.3g} + {cost.per_sample * 1e3:.3g} n ms" for name, cost in parts.items()]
    return f"a step of n samples a rank: {', '.join(lines)}"
