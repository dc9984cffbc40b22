"""The costs of a training a rank and step, as measured on a study's smaller configurations.

Seconds a step = compute + input + other + jitter + exposed communication; the first three depend on the samples of the
largest slice, and so does the deviation of steps, from which the jitter follows. Must not import networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hpcnn.analysis.jitter import jitter_table
from hpcnn.analysis.series import runs_of
from hpcnn.stats.maxima import expected_largest
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
    neither of the first two nor communication. deviation: the standard deviation of a rank's work in a step, None where
    no run records it; skewness: of its distribution. base_ranks, base_seconds: the base case, measured, in s an
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
    deviation: Cost | None = None
    skewness: float = 0.0

    @property
    def steps(self) -> int:
        """Steps of an epoch, on any number of ranks."""
        return math.ceil(self.samples / self.batch_size)

    def largest_slice(self, ranks: int) -> int:
        """Return the samples of the rank that has most of them in a step: it is the one that others wait for."""
        return self.batch_size if self.kind == "weak" else math.ceil(self.batch_size / ranks)

    def jitter_seconds(self, ranks: int) -> float:
        """Return by how much the slowest of so many ranks is expected to exceed the mean of them, in a step."""
        if self.deviation is None:
            return 0.0
        return self.deviation.seconds(self.largest_slice(ranks)) * expected_largest(ranks, self.skewness)


class Sizes(NamedTuple):
    """What was measured at each size of a series, ascending: arrays of one value a size.

    batch, samples: of a step and of an epoch, over all ranks. seconds: of an epoch. compute, communication, input:
    fractions of it. deviation: the standard deviation of the work of a rank in a step, in s, as far as it differs from
    rank to rank; NaN where it was not recorded. skewness: of that work.
    """

    ranks: Array
    batch: Array
    samples: Array
    seconds: Array
    compute: Array
    communication: Array
    input: Array
    deviation: Array
    skewness: Array

    def below(self, ranks: float) -> Sizes:
        """Return the sizes of fewer than so many ranks."""
        return Sizes(*(values[self.ranks < ranks] for values in self))

    @property
    def split(self) -> bool:
        """Return whether compute, communication and input are known apart."""
        return not any(np.isnan(part).any() for part in (self.compute, self.communication, self.input))


def sizes_of(data: RunData, rows: pd.DataFrame) -> Sizes:
    """Return the sizes of ``rows``, one series of a scaling table."""
    rows = rows.sort_values("ranks", kind="stable")
    steps = jitter_table(data, rows).reindex(rows.index)
    ranks = rows["ranks"].to_numpy("float64")
    deviation, skewness = (steps[key].to_numpy("float64") for key in ("step_seconds_deviation", "step_skewness"))
    excess = (steps["step_seconds_maximum"] - steps["step_seconds_mean"]).to_numpy("float64")
    return Sizes(
        ranks=ranks,
        batch=rows["batch_size"].to_numpy("float64"),
        samples=rows["samples"].to_numpy("float64"),
        seconds=rows["epoch_seconds_median"].to_numpy("float64"),
        compute=rows["share_compute"].to_numpy("float64"),
        communication=rows["share_communication"].to_numpy("float64"),
        input=rows["share_input"].to_numpy("float64"),
        deviation=between_ranks(ranks, deviation, excess, skewness),
        skewness=skewness,
    )


def between_ranks(ranks: Array, deviation: Array, excess: Array, skewness: Array) -> Array:
    """Return the deviation of independent steps of which the slowest exceeds the mean by the measured ``excess``.

    What slows all ranks alike, such as a slow moment of their node, makes steps differ and nobody wait. On one rank
    nobody waits for another, and the deviation of its steps has to do.
    """
    found = deviation.copy()
    for place in np.flatnonzero((ranks > 1) & ~np.isnan(excess)):
        found[place] = max(excess[place], 0.0) / expected_largest(int(ranks[place]), float(skewness[place]))
    return found


def costs(sizes: Sizes) -> dict[str, Cost | None]:
    """Return the costs of a step that fit the ``sizes`` best, by the names that they have in a Workload."""
    step = sizes.seconds / np.ceil(sizes.samples / sizes.batch)
    slices = np.ceil(sizes.batch / sizes.ranks)
    known = ~np.isnan(sizes.deviation)
    deviation = _cost(slices[known], sizes.deviation[known]) if known.any() else None
    # On one rank, what a strategy's communication costs is its overhead: no message goes anywhere.
    alone = sizes.ranks == 1
    if not sizes.split:
        nothing = np.zeros_like(step)
        return {
            "compute": _cost(slices, step),
            "input": _cost(slices, nothing),
            "other": _cost(slices, nothing, alone_fixed=True),
            "deviation": deviation,
        }
    exposed = np.where(alone, 0.0, sizes.communication)
    other = np.clip(step * (1 - sizes.compute - sizes.input - exposed), 0, None)
    return {
        "compute": _cost(slices, step * sizes.compute),
        "input": _cost(slices, step * sizes.input),
        "other": _cost(slices, other, alone_fixed=True),
        "deviation": deviation,
    }


def measured_workload(
    data: RunData,
    rows: pd.DataFrame,
    kind: str | None = None,
    parameters: int | None = None,
    sizes: Sizes | None = None,
) -> Workload:
    """Return the workload of ``rows``, one series; its base case is the smallest of them.

    kind: "strong" or "weak", if not that of the study. parameters: trainable ones, where no run records them. sizes:
    those of the rows, where they are known already. Raises UsageError where the number of parameters is unknown, or not
    the same in all rows.
    """
    rows = rows.sort_values("ranks", kind="stable")
    base = rows.iloc[0]
    strong = base["kind"] == "strong"
    factored = None
    if strong and kind != "weak" and parameters is None:
        factored = _bytes_with_factors(data, rows)
    workload = workload_of(
        sizes_of(data, rows) if sizes is None else sizes,
        "strong" if strong else "weak",
        factored or BYTES_PER_PARAMETER * (_parameters(data, rows) if parameters is None else parameters),
        factored=factored is not None,
    )
    return workload if kind in (None, workload.kind) else as_kind(workload, str(kind))


def workload_of(sizes: Sizes, kind: str, gradient_bytes: int, *, factored: bool = False) -> Workload:
    """Return the workload of measured ``sizes`` of one ``kind`` of scaling."""
    ranks = int(sizes.ranks[0])
    of_rank = 1 if kind == "strong" else ranks
    return Workload(
        kind=kind,
        samples=int(sizes.samples[0]) // of_rank,
        batch_size=int(sizes.batch[0]) // of_rank,
        gradient_bytes=gradient_bytes,
        base_ranks=ranks,
        base_seconds=float(sizes.seconds[0]),
        split=sizes.split,
        factored=factored,
        measured_on=tuple(int(number) for number in sizes.ranks),
        skewness=float(np.nanmedian(sizes.skewness)) if not np.isnan(sizes.skewness).all() else 0.0,
        **costs(sizes),  # type: ignore[arg-type]
    )


def as_kind(workload: Workload, kind: str) -> Workload:
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
    if (samples == samples[0]).all() or not (seconds > 0).all():
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
