"""Speed-up and efficiency of rows over their base cases, each with its interval.

Ratios are taken last, of summarised times, and never averaged (Hoefler and Belli, SC15, rule 4). The interval is that
of the shift between the logarithms of the runs' times, by the rank tests of ``stats.rank_tests``: its coverage is exact
where both sets of runs spread alike. A bootstrap of the ratio of two medians is wider by a quarter and covers more than
it says (docs/report.md). Must not import formats or views.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hpcnn.stats.rank_tests import shift
from hpcnn.util.errors import HpcnnError

if TYPE_CHECKING:
    from hpcnn.util.types import Array


class _Ratio(NamedTuple):
    value: float
    low: float
    high: float
    coverage: float


def with_ratios(rows: pd.DataFrame, base: pd.Series[int], runs: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return ``rows`` with ``speedup`` and ``efficiency``, ``_low`` and ``_high`` of both, and ``ratio_coverage``.

    base: the label of the base case of each row. runs: one line a run, with its ``row``, ``run_seconds`` and
    ``sample_seconds``. A base case over itself is 1 and has no interval; nor has a ratio of which a side is one run.
    """
    logs = {
        key: {row: np.log(own.to_numpy("float64")) for row, own in runs.groupby("row")[key]}
        for key in ("run_seconds", "sample_seconds")
    }
    facts = rows.astype(object).to_dict("index")
    found = []
    for label, of_base in zip(rows.index, base.reindex(rows.index), strict=True):
        row, first = facts[label], facts[of_base]
        scales = row["kind"] in ("strong", "weak")
        if scales:
            value, own = first["epoch_seconds_median"] / row["epoch_seconds_median"], logs["run_seconds"]
        else:
            value, own = row["images_per_second"] / first["images_per_second"], logs["sample_seconds"]
        ratio = _interval(float(value), -own[of_base], -own[label], confidence, itself=label == of_base)
        per_rank = first["ranks"] / row["ranks"] if row["kind"] == "strong" else 1.0
        found.append(
            {
                **_columns("speedup", ratio, math.nan if row["kind"] == "weak" else 1.0),
                **_columns("efficiency", ratio, per_rank if scales else math.nan),
                "ratio_coverage": ratio.coverage,
            }
        )
    names = [*_columns("speedup", _NONE, 1.0), *_columns("efficiency", _NONE, 1.0), "ratio_coverage"]
    ratios = pd.DataFrame(found, columns=names, index=rows.index, dtype="float64")
    at = list(rows.columns).index("share_compute")
    return pd.concat([rows.iloc[:, :at], ratios, rows.iloc[:, at:]], axis=1)


_NONE = _Ratio(math.nan, math.nan, math.nan, math.nan)


def _interval(value: float, base: Array, own: Array, confidence: float, *, itself: bool) -> _Ratio:
    """Return a ratio with its interval; ``base`` and ``own``: logarithms, larger where a run is faster."""
    if itself or min(len(base), len(own)) < 2:
        return _NONE._replace(value=value)
    try:
        found = shift(base, own, confidence)
    except HpcnnError:  # a login node without SciPy has a table all the same, and its caption says what is missing
        return _NONE._replace(value=value)
    # the ratio of the medians is near the middle of the interval; where runs are two and two it may be outside
    low, high = min(math.exp(found.low), value), max(math.exp(found.high), value)
    return _Ratio(value, low, high, found.coverage)


def _columns(name: str, ratio: _Ratio, factor: float) -> dict[str, float]:
    return {
        name: factor * ratio.value,
        f"{name}_low": factor * ratio.low,
        f"{name}_high": factor * ratio.high,
    }
