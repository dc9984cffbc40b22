"""The costs of a training a rank and step, as measured on a study's smaller configurations.

Seconds a step = compute + input + other + exposed communication; the first three depend on the samples of the largest
slice. Must not import networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.analysis.series import runs_of
from hpcnn.stats.nnls import solve_nnls
from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Array

# A gradient of float32: hpcnn sums gradients in the type of the variables, whatever the precision of the layers.
BYTES_PER_PARAMETER = 4


@dataclass(frozen=True)
class Cost:
    """Seconds a step: ``fixed``, and ``per_sample`` for each sample of the slice."""

    fixed: float
    per_sample: float

    def seconds(self, samples: int) -> float:
        """Return the seconds of a step on a slice of so many samples."""
        return self.fixed + self.per_sample * samples


@dataclass(frozen=True)
class Workload:
    """A training: its constant sizes, and the costs of a step.

    kind: "strong" or "weak". samples and batch_size: of an epoch and of a step, over all ranks (strong) or of each
    rank (weak). gradient_bytes: summed over the ranks in every step, or of a sum that moves as much as the factors that
    they exchange for some gradients (``factored``). compute, input, other: seconds of the slowest rank; other is
    neither of the first two nor communication. base_ranks, base_seconds: the base case, measured, in s an
    epoch. split: whether compute and input were measured apart; otherwise all is compute. measured_on: the numbers of
    ranks that the costs are from.
    """

    kind: str
    samples: int
    batch_size: int
    gradient_bytes: int
    compute: Cost
    input: Cost
    other: Cost
    base_ranks: int
    base_seconds: float
    split: bool = True
    factored: bool = False
    measured_on: tuple[int, ...] = ()

    @property
    def steps(self) -> int:
        """Steps of an epoch, on any number of ranks."""
        return math.ceil(self.samples / self.batch_size)

    def largest_slice(self, ranks: int) -> int:
        """Return the samples of the rank that has most of them in a step: it is the one that others wait for."""
        return self.batch_size if self.kind == "weak" else math.ceil(self.batch_size / ranks)


def measured_workload(
    data: RunData,
    rows: pd.DataFrame,
    kind: str | None = None,
    parameters: int | None = None,
    exchanged: pd.DataFrame | None = None,
) -> Workload:
    """Return the workload of ``rows``, one series; its base case is the smallest of them.

    kind: "strong" or "weak", if not that of the study. parameters: trainable ones, where no run records them.
    exchanged: rows from which to take the bytes that ranks exchange, if not ``rows``. Raises UsageError where the
    number of parameters is unknown, or not the same in all rows.
    """
    rows = rows.sort_values("ranks", kind="stable")
    base = rows.iloc[0]
    strong = base["kind"] == "strong"
    ranks = rows["ranks"].to_numpy("float64")
    batch = rows["batch_size"].to_numpy("float64")
    steps = np.ceil(rows["samples"].to_numpy("float64") / batch)
    slices = np.ceil(batch / ranks)
    step = rows["epoch_seconds_median"].to_numpy("float64") / steps
    share = {part: rows[f"share_{part}"].to_numpy("float64") for part in ("compute", "communication", "input")}
    split = not any(np.isnan(part).any() for part in share.values())
    compute, fetch, other = step, np.zeros_like(step), np.zeros_like(step)
    if split:
        compute, fetch = step * share["compute"], step * share["input"]
        # On one rank, what a strategy's communication costs is its overhead: no message goes anywhere.
        exposed = np.where(ranks == 1, 0.0, share["communication"])
        other = np.clip(step * (1 - share["compute"] - share["input"] - exposed), 0, None)
    factored = None
    if strong and kind != "weak" and parameters is None:
        factored = _bytes_with_factors(data, rows if exchanged is None else exchanged)
    workload = Workload(
        kind="strong" if strong else "weak",
        samples=int(base["samples"] if strong else base["samples"] // base["ranks"]),
        batch_size=int(base["batch_size"] if strong else base["batch_size"] // base["ranks"]),
        gradient_bytes=factored
        or BYTES_PER_PARAMETER * (_parameters(data, rows) if parameters is None else parameters),
        compute=_cost(slices, compute),
        input=_cost(slices, fetch),
        other=_cost(slices, other, alone_fixed=True),
        base_ranks=int(base["ranks"]),
        base_seconds=float(base["epoch_seconds_median"]),
        split=split,
        factored=factored is not None,
        measured_on=tuple(int(number) for number in ranks),
    )
    return workload if kind in (None, workload.kind) else _as_kind(workload, str(kind))


def _as_kind(workload: Workload, kind: str) -> Workload:
    """Return the same training under the other kind of scaling, with the same work on the base case."""
    ranks = workload.base_ranks
    if kind == "weak":
        return replace(
            workload,
            kind=kind,
            samples=math.ceil(workload.samples / ranks),
            batch_size=math.ceil(workload.batch_size / ranks),
        )
    return replace(workload, kind=kind, samples=workload.samples * ranks, batch_size=workload.batch_size * ranks)


def _cost(samples: Array, seconds: Array, *, alone_fixed: bool = False) -> Cost:
    """Return the cost that fits ``seconds`` of slices of ``samples`` best, relatively; no part is negative.

    With one size of slice, all seconds count as proportional to it, or as fixed if ``alone_fixed``.
    """
    if len(np.unique(samples)) == 1 or not (seconds > 0).all():
        each, fixed = float(np.median(seconds / samples)), float(np.median(seconds))
        return Cost(fixed, 0.0) if alone_fixed else Cost(0.0, each)
    ((fixed, per_sample),) = solve_nnls(np.stack([1 / seconds, samples / seconds], axis=1)[None], np.ones_like(seconds))
    return Cost(float(fixed), float(per_sample))


def _bytes_with_factors(data: RunData, rows: pd.DataFrame) -> int | None:
    """Return the bytes that ranks exchange in a step, where all rows agree and they are fewer than the gradients'."""
    runs = runs_of(data, rows)
    known = runs.loc[runs["ranks"] > 1, ["allreduce_bytes", "trainable"]].dropna().drop_duplicates()
    if len(known) != 1 or known["allreduce_bytes"].iloc[0] >= BYTES_PER_PARAMETER * known["trainable"].iloc[0]:
        return None
    return int(known["allreduce_bytes"].iloc[0])


def _parameters(data: RunData, rows: pd.DataFrame) -> int:
    known = runs_of(data, rows)["trainable"].dropna().unique()
    if len(known) == 0:
        raise UsageError("--parameters: no run says how many trainable parameters its model has; say it")
    if len(known) > 1:
        found = ", ".join(f"{number:,}" for number in sorted(known))
        raise UsageError(f"--parameters: the runs of one series have models of different sizes ({found}); say which")
    return int(known[0])
