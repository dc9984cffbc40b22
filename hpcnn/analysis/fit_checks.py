"""Checks of measured points before a fit: too few, ambiguous or contradictory ones, and too few for an interval.

Each returns its reason in words, or None. Must not import the fits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcnn.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hpcnn.analysis.laws import Law, Times
    from hpcnn.util.types import Array

# Medians that contradict a law by less than this may do so by chance; by more, and in every run, they do not.
MARGIN = 0.05
# Of three runs of each size, bands that should hold in 95 % of studies held in 84 to 93 % of simulated ones: fits to
# fewer than five have none (docs/prediction.md).
RUNS_FOR_BANDS = 5


def too_few_sizes(law: Law, times: Times) -> str | None:
    """Return how many sizes are missing for a fit of ``law``, or None."""
    lacking = law.minimum_sizes - len(times)
    if lacking <= 0:
        return None
    return (
        f"{counted(len(times), 'size')} measured ({_ranks(list(times))}); {law.name} needs {law.minimum_sizes}, for it "
        f"has {law.why}: measure {lacking} more"
    )


def ambiguous_sizes(rows: pd.DataFrame) -> str | None:
    """Return which number of ranks has several ``rows`` in a series, or None."""
    several = rows.loc[rows["ranks"].duplicated(keep=False), "ranks"].unique().tolist()
    if not several:
        return None
    nodes = ", ".join(str(number) for number in rows.loc[rows["ranks"] == several[0], "nodes"])
    return f"{counted(several[0], 'rank')} measured in several placements (nodes: {nodes}), which are not one size"


def contradicts(law: Law, times: Times) -> str | None:
    """Return why ``law`` cannot describe ``times``, where every run shows it and by more than MARGIN; else None."""
    if not all(np.isfinite(seconds).all() and (seconds > 0).all() for seconds in times.values()):
        return "a time is not a positive number of seconds"
    # Seconds of one rank for its share of the work, which are constant at best; and of all ranks for a unit of work.
    strong = law.kind == "strong"
    share = {ranks: seconds * (ranks if strong else 1) for ranks, seconds in times.items()}
    unit = {ranks: seconds / (1 if strong else ranks) for ranks, seconds in times.items()}
    sizes = list(times)
    for ranks in sizes[1:]:
        if _below(share[ranks], share[sizes[0]]):
            return (
                f"super-linear: every run on {counted(ranks, 'rank')} is faster than ideal from the base case of "
                f"{counted(sizes[0], 'rank')}, and no law of scaling is; look at the base case"
            )
    if law.peaks:
        return None
    for smaller in sizes[:-1]:
        if _below(unit[smaller], unit[sizes[-1]]):
            return (
                f"every run on {counted(sizes[-1], 'rank')} gets less done in a second than those on "
                f"{counted(smaller, 'rank')}: {law.name} has no peak, the USL has"
            )
    return None


def interval_remarks(times: Times) -> tuple[str, ...]:
    """Return a remark on why ``times`` are too few for an interval; none where they suffice."""
    few = [ranks for ranks, seconds in times.items() if len(seconds) < RUNS_FOR_BANDS]
    if not few:
        return ()
    fewest = min(len(times[ranks]) for ranks in few)
    return (
        f"no interval: {_ranks(few)} measured in {counted(fewest, 'run')}, and a bootstrap over runs needs "
        f"{RUNS_FOR_BANDS} of each size",
    )


def _below(a: Array, b: Array) -> bool:
    return bool(a.max() < b.min() and np.median(a) < (1 - MARGIN) * np.median(b))


def _ranks(sizes: Sequence[int]) -> str:
    return f"{', '.join(map(str, sizes))} {'rank' if list(sizes) == [1] else 'ranks'}"
