"""The series of one table as points that can be drawn: what is joined, what its base case is, how far it is uncertain.

Must not know colours or figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from hpcnn.analysis.base import SIZE, base_name, series_of
from hpcnn.analysis.series import settings_of
from hpcnn.figures.scaling.style import apart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hpcnn.analysis.fits import Fit, FittedSeries

Array = np.ndarray[Any, Any]

# More series than there are colours to tell apart are left to the table.
MOST_SERIES = 5
# Characters of a name beside a bar or in a legend.
_LONGEST_NAME = 36


class Series(NamedTuple):
    """Rows of a table that differ in size alone, by size, and the base case of each (a row of ``bases``).

    label: what sets the series apart, empty where there is one. joined: whether a line may join the points, which it
    may not where one number of ranks was measured in several ways (on other nodes, say).
    """

    label: str
    rows: pd.DataFrame
    bases: pd.DataFrame
    joined: bool

    @property
    def ranks(self) -> list[int]:
        """Numbers of ranks, ascending."""
        return [int(number) for number in self.rows["ranks"]]

    @property
    def ideal(self) -> Array:
        """Speed-up over the base case that each row would have ideally (strong scaling)."""
        ideal: Array = self.rows["ranks"].to_numpy("float64") / self.bases["ranks"].to_numpy("float64")
        return ideal


def scaling_of(table: pd.DataFrame) -> str | None:
    """Return "strong" or "weak" for the rows of one table of scaling, None for other tables."""
    kind = table["kind"].astype(object).iloc[0]
    return kind if isinstance(kind, str) and kind in ("strong", "weak") else None


def names_of(table: pd.DataFrame, labels: Iterable[Any]) -> list[str]:
    """Return what the rows ``labels`` of one table are called in a picture: each name once, and none too long."""
    settings = settings_of(table)
    names = [base_name(table, label, settings) for label in labels]
    return apart([_drawn(name) for name in names])


def series_in(table: pd.DataFrame) -> tuple[list[Series], int]:
    """Return the series of ``table`` (rows of one table of strong or weak scaling), and how many more there are.

    The series with the most sizes come first.
    """
    settings = settings_of(table)
    cases = table[table["base"]].drop_duplicates("base_case").set_index("base_case")
    found = []
    parts = series_of(table, settings)
    for part in parts:
        rows = part.sort_values([*SIZE, *settings], kind="stable")
        known = rows[rows["base_case"].isin(cases.index)]
        if known.empty:
            continue
        _, _, told = base_name(table, known.index[0], settings).partition(", ")
        label = _drawn(told) if len(parts) > 1 else ""
        found.append(Series(label, known, cases.loc[known["base_case"]], bool(known["ranks"].is_unique)))
    found.sort(key=lambda series: -len(series.rows))
    return found[:MOST_SERIES], len(found[MOST_SERIES:])


def time_bars(series: Series) -> Array:
    """Return how far the interval of the median reaches below and above it (2 x rows, in s); NaN without one."""
    median, low, high = (_column(series.rows, key) for key in ("epoch_seconds_median", "interval_low", "interval_high"))
    return np.array([median - low, high - median])


def ratio_bars(series: Series, ratio: str) -> Array:
    """Return how far an interval of ``speedup`` or ``efficiency`` reaches below and above it (2 x rows).

    From the far ends of both intervals: the base case's low over the row's high, and the other way round. Both medians
    are inside their intervals at once with a probability of at least c + c0 - 1 (Bonferroni), so that is the least
    coverage. The base case over itself is 1, and has none.
    """
    rows, bases = series.rows, series.bases
    value, median = _column(rows, ratio), _column(rows, "epoch_seconds_median")
    of_base = _column(bases, "epoch_seconds_median")
    low = value * _column(bases, "interval_low") / of_base * median / _column(rows, "interval_high")
    high = value * _column(bases, "interval_high") / of_base * median / _column(rows, "interval_low")
    bars = np.array([value - low, high - value])
    bars[:, rows["base"].to_numpy(dtype=bool)] = np.nan
    return bars


def coverage(series: list[Series], *, of_ratio: bool) -> float | None:
    """Return the least coverage of the bars that are drawn; None where there are none."""
    least = []
    for one in series:
        own, base = _column(one.rows, "interval_coverage"), _column(one.bases, "interval_coverage")
        both = np.where(one.rows["base"].to_numpy(dtype=bool), np.nan, own + base - 1)
        least += [value for value in (both if of_ratio else own) if not np.isnan(value)]
    return min(least, default=None)


def ceiling_seconds(series: Series) -> Array:
    """Return the epoch time without communication, in s: samples over the measured ceiling; NaN where there is none."""
    return _column(series.rows, "samples") / _column(series.rows, "ceiling_images_per_second")


def fits_of(series: Series, fitted: list[FittedSeries] | None) -> dict[str, Fit]:
    """Return the fits to a series by their model, without those that were refused."""
    for one in fitted or []:
        if set(one.rows.index) == set(series.rows.index):
            return {fit.model: fit for fit in one.fits if fit.refused is None}
    return {}


def _column(rows: pd.DataFrame, key: str) -> Array:
    values: Array = rows[key].to_numpy("float64", na_value=np.nan) if key in rows else np.full(len(rows), np.nan)
    return values


def _drawn(name: str) -> str:
    """Return a name as it can be drawn: on one line, and not longer than there is room for."""
    plain = "".join(sign if sign.isprintable() else "�" for sign in name)
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[: _LONGEST_NAME - 1]}…"
