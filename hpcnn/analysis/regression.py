"""The decision of ``hpcnn compare --fail-on-regression``: worse, not worse, or not to be told.

A test and no estimate: B is worse where the whole interval is beyond the bound, not worse where all of it is within,
and anything else is undecided. Of several configurations, one that is worse decides, so its p value is adjusted for
their number (Holm); that none is worse needs all intervals within, and no adjustment (R. L. Berger, Technometrics 24,
1982). Must not print.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hpcnn.stats.rank_tests import holm, values_needed
from hpcnn.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


class Decision(NamedTuple):
    """What a comparison says of the bounds, each in sentences: what is ``worse``, and what is ``undecided``."""

    worse: list[str]
    undecided: list[str]


def decide(
    table: pd.DataFrame, names: Sequence[str], allowed: float, points: float, confidence: float, failed: int = 0
) -> Decision:
    """Return whether B is slower by more than the fraction ``allowed``, or less accurate by more than ``points``.

    table: of ``compare_runs`` or ``compare_benchmarks`` with the same bounds and ``confidence``; names: of its rows.
    points: of 100. failed: runs of B that did not complete, whose time and accuracy nobody knows.
    """
    worse: list[str] = []
    undecided = [f"{counted(failed, 'run')} of B did not complete"] if failed else []
    low, high = (f"slower_{end}" if f"slower_{end}" in table else f"change_{end}" for end in ("low", "high"))
    rows = table.assign(
        name=list(names), low=table[low], high=table[high], p=holm(table["p_allowed"].to_numpy("float64"))
    )
    needed = values_needed(confidence)
    for row in rows[rows["runs_a"] > 0].astype(object).to_dict("records"):
        if row["runs_b"] == 0:
            undecided.append(f"{row['name']}: not in B")
        elif row["low"] != row["low"]:
            runs = f"{counted(row['runs_a'], 'run')} of A and {row['runs_b']} of B"
            undecided.append(f"{row['name']}: {runs} are too few runs to tell; {needed} and {needed} can")
        elif row["low"] > allowed and row["p"] <= 1 - confidence:
            worse.append(f"{row['name']}: B is slower by {row['low']:.1%} to {row['high']:.1%}")
        elif row["high"] > allowed:
            undecided.append(f"{row['name']}: from {row['low']:+.1%} to {row['high']:+.1%}, which holds the bound")
    if "test_accuracy_change" in rows:
        _decide_accuracy(rows, points / 100, confidence, worse, undecided)
    return Decision(worse, undecided)


def _decide_accuracy(
    rows: pd.DataFrame, allowed: float, confidence: float, worse: list[str], undecided: list[str]
) -> None:
    rows = rows.assign(p=holm(rows["test_accuracy_p_allowed"].to_numpy("float64")))
    known = rows[rows["test_accuracy_a"].notna() & (rows["runs_b"] > 0)]
    for row in known.astype(object).to_dict("records"):
        low, high = row["test_accuracy_change_low"], row["test_accuracy_change_high"]
        if row["test_accuracy_b"] != row["test_accuracy_b"]:
            undecided.append(f"{row['name']}: B records no test accuracy")
        elif low != low:
            if row["low"] == row["low"]:  # else the time says it already
                undecided.append(f"{row['name']}: too few of its runs record a test accuracy to tell")
        elif high < -allowed and row["p"] <= 1 - confidence:
            ends = f"{-100 * high:.2f} to {-100 * low:.2f} points"
            worse.append(f"{row['name']}: the test accuracy of B is lower by {ends}")
        elif low < -allowed:
            ends = f"{100 * low:+.2f} to {100 * high:+.2f} points"
            chance = f"which may be chance among {len(rows)} configurations"
            why = "which holds the bound" if high >= -allowed else chance
            undecided.append(f"{row['name']}: test accuracy from {ends}, {why}")
