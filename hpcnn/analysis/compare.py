"""Comparison of two sets of runs: before and after a change, or on machine A and machine B.

A difference comes with its interval, a rank test and an effect size, and with words that claim no more (Hoefler and
Belli, SC15, rule 7). Runs are compared, each by its median epoch; epochs of one run are no repeats. Must not import
files or formats.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hpcnn.analysis.columns import text_or
from hpcnn.analysis.configuration import SETTINGS, TABLE, configured
from hpcnn.analysis.measured import counted_runs, epoch_times
from hpcnn.analysis.units import with_units
from hpcnn.stats.medians import CONFIDENCE
from hpcnn.stats.rank_tests import Shift, holm, p_of_no_shift, shift, values_needed
from hpcnn.util.errors import UsageError
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Json

# Two runs that have these in common did the same work, so their seconds can be compared.
_WORK = ["model", "data", "program", "samples", "batch_size", "ranks"]

_OPPOSITE = {"slower": "faster", "faster": "slower", "larger": "smaller"}


class Comparison(NamedTuple):
    """B against A, in the unit of the values: positive where B's are larger.

    ``difference``, ``low``, ``high``: the shift from A to B and its interval, ``coverage`` (0..1) the least that it
    covers. ``p_value``: two-sided, of the tests of ``stats.rank_tests``. ``effect_size``: Cliff's delta, -1 to 1: the
    fraction of the pairs of a value of A and one of B in which B's is larger, less that in which it is smaller.
    ``conclusive``: whether the interval has the coverage asked for and zero is outside it. ``words``: the result in
    words.
    """

    difference: float
    low: float
    high: float
    coverage: float
    p_value: float
    effect_size: float
    conclusive: bool
    words: str


def compare(
    a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE, unit: str = "s", larger: str = "slower"
) -> Comparison:
    """Compare two sets of independent values of one ``unit``, e.g. the epoch times of runs.

    larger: the word for a B with larger values ("slower" for times). Raises ValueError for an empty set or a missing
    value, UsageError for a confidence outside 0 to 1.
    """
    found = shift(a, b, confidence)
    enough = found.coverage >= confidence
    conclusive = enough and not found.low <= 0 <= found.high
    words = _words(found, enough, conclusive, (len(a), len(b)), confidence, unit, larger)
    return Comparison(*found, conclusive, words)


def _words(
    found: Shift, enough: bool, conclusive: bool, runs: tuple[int, int], confidence: float, unit: str, larger: str
) -> str:
    if not enough:
        needed, seen = values_needed(confidence), f"{_signed(found.difference)} {unit}"
        few = f"{counted(runs[0], 'run')} of A and {runs[1]} of B give no {confidence * 100:.4g} % interval"
        return f"no verdict: {few}, {needed} and {needed} do (seen: B - A = {seen})"
    span = f"B - A from {_signed(found.low)} to {_signed(found.high)} {unit}, {found.coverage:.1%} interval"
    if not conclusive:
        return f"no difference shown, which does not prove that there is none ({span})"
    word = larger if found.difference > 0 else _OPPOSITE.get(larger, f"not {larger}")
    pairs = (1 + abs(found.effect_size)) / 2
    return f"B is {word} ({span}; so in {pairs:.0%} of the pairs of runs)"


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else '-'}{significant(abs(value))}"


class RelativeShift(NamedTuple):
    """By which fraction B takes longer than A, from ``low`` to ``high``, and the p value of a bound on it."""

    low: float
    high: float
    p_allowed: float


def relative_shift(
    a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE, allowed: float = 0.0, *, rate: bool = False
) -> RelativeShift:
    """Return the interval of the fraction by which B takes longer, and how likely the data are if that is ``allowed``.

    The interval is that of the shift between the logarithms, so it does not depend on the unit. ``p_allowed`` is
    two-sided. ``rate``: the values are rates, of which twice as much is half as long. All are missing where a value is
    not positive, and where the values are too few to reach ``confidence``.
    """
    nothing = RelativeShift(math.nan, math.nan, math.nan)
    if not len(a) or not len(b) or min(*a, *b) <= 0:
        return nothing
    first, second = (np.log(values) * (-1 if rate else 1) for values in (a, b))
    found = shift(first, second, confidence)
    if found.coverage < confidence:
        return nothing
    p_allowed = p_of_no_shift(first + math.log1p(allowed), second)
    return RelativeShift(math.expm1(found.low), math.expm1(found.high), p_allowed)


def together(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return a table of comparisons, one a row, with the p values adjusted for their number in ``p_holm``.

    A row whose interval leaves out zero, but whose adjusted p value does not reach the confidence, is not
    ``conclusive`` any more, and its words say so: of twenty comparisons without a difference, one looks like one.
    """
    adjusted = holm(table["p_value"].where(table["coverage"] >= confidence).to_numpy("float64"))
    chance = table["conclusive"].to_numpy(dtype=bool) & ~(adjusted <= 1 - confidence)
    several = int(np.isfinite(adjusted).sum())
    needed = values_needed(1 - (1 - confidence) / max(several, 1))
    words = [
        f"no verdict: among {several} comparisons it may be chance (p after Holm {p:.2g}; {needed} runs of A and "
        f"{needed} of B can tell); alone, {said}"
        if by_chance
        else said
        for by_chance, p, said in zip(chance, adjusted, table["words"], strict=True)
    ]
    at = list(table.columns).index("p_value") + 1
    table = table.assign(conclusive=table["conclusive"].to_numpy(dtype=bool) & ~chance, words=words)
    table.insert(at, "p_holm", adjusted)
    return table


def compare_runs(
    a: RunData,
    b: RunData,
    warmup: int = 1,
    confidence: float = CONFIDENCE,
    allowed: float = 0.0,
    accuracy_allowed: float = 0.0,
) -> pd.DataFrame:
    """Return one row for each configuration of two sets of runs, and how B's epoch times compare with A's.

    Configurations are matched by the work they do (model, data, samples, global batch size, ranks), and by each other
    setting that varies within A or within B. Settings that are constant in each set may differ between the sets: the
    comparison is about these (``differing``). Columns: the matching ones; ``runs_a``, ``runs_b``; ``epoch_seconds_a``,
    ``_b`` (medians over the runs' medians); ``change`` (b/a - 1, of these), ``change_low``, ``change_high`` and
    ``p_allowed`` of ``relative_shift``; ``difference``, ``difference_low``, ``difference_high``, ``coverage``,
    ``p_value``, ``effect_size``, ``conclusive`` and ``words`` of ``compare``, in seconds; ``p_holm`` of ``together``;
    ``test_accuracy_a``, ``_b`` (medians), ``test_accuracy_change`` (the shift, in fractions) with ``_low`` and
    ``_high``, and ``test_accuracy_p_allowed``: how likely the data are if B's is lower by ``accuracy_allowed``. Where
    one set has no such run, the comparison is missing, and ``words`` says so.

    Raises UsageError where nothing matches, where one row of a set would mix machines, and for a run in both sets.
    """
    runs = _measured(a, b, warmup)
    keys = [key for key in _matching(runs) if runs[key].notna().any()]
    rows = []
    for _, matching in runs.groupby(keys, dropna=False):
        of = {name: matching[matching["set"] == name] for name in ("A", "B")}
        for name, own in of.items():
            if len(own[["cpu_model", "device"]].drop_duplicates()) > 1:
                machines = " and ".join(sorted(repr(text_or(cpu)) for cpu in own["cpu_model"].unique()))
                raise UsageError(f"{name}: its runs are of several machines ({machines}); name directories of one")
        first = matching.iloc[0]
        rows.append(
            {**{key: first[key] for key in keys}, **_compared(of["A"], of["B"], confidence, allowed, accuracy_allowed)}
        )
    table = pd.DataFrame(rows, columns=[*keys, *_compared(runs[:0], runs[:0], confidence, allowed)])
    if not ((table["runs_a"] > 0) & (table["runs_b"] > 0)).any():
        raise UsageError("A and B have no configuration in common: no model, data, samples, batch size and ranks agree")
    return with_units(together(table.astype({key: runs[key].dtype for key in keys}), confidence))


def apart_in_time(a: RunData, b: RunData, warmup: int = 1) -> str | None:
    """Return that A and B were measured one after the other, in words; None where they overlap, or it is unknown.

    What changes on a machine from one day to the next then looks like a difference of A and B, and no test can tell.
    """
    spans = []
    for data in (a, b):
        runs = counted_runs(data, warmup)
        finished = pd.to_datetime(runs["finished_at"], errors="coerce", utc=True, format="ISO8601")
        started = finished - pd.to_timedelta(runs["seconds_total"].fillna(0.0).astype("float64"), unit="s")
        spans.append((started.min(), finished.max()))
    (start_a, end_a), (start_b, end_b) = spans
    if any(pd.isna(time) for span in spans for time in span) or (start_a <= end_b and start_b <= end_a):
        return None
    first, second = ("A", "B") if end_a < start_b else ("B", "A")
    gap = start_b - end_a if end_a < start_b else start_a - end_b
    return (
        f"All of {first} ran before {second} began ({_duration(gap)} between them): what changed on the machine "
        "meanwhile looks like a difference of A and B. Measure them in turn, a repeat of each at a time."
    )


def _duration(gap: pd.Timedelta) -> str:
    seconds = gap.total_seconds()
    for unit, size in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= size:
            return counted(round(seconds / size), unit)
    return counted(round(seconds), "second")


def differing(a: RunData, b: RunData, warmup: int = 1) -> dict[str, tuple[str, str]]:
    """Return the columns that are constant within A and within B and differ between them, with their two values."""
    runs = _measured(a, b, warmup)
    found = {}
    for key in (*TABLE, *SETTINGS, "nodes", "site", "hpcnn", *_options(runs)):
        values = [own[key].drop_duplicates() for _, own in runs.groupby("set")]
        if all(len(own) == 1 for own in values):
            one, other = (text_or(own.iloc[0]) for own in values)
            if one != other:
                found[key] = (one, other)
    return found


def _measured(a: RunData, b: RunData, warmup: int) -> pd.DataFrame:
    """Return the counted runs of both, with ``set`` and the median of their epochs in ``seconds``."""
    if shared := sorted(set(a.runs["path"]) & set(b.runs["path"])):
        raise UsageError(f"A and B share {counted(len(shared), 'run')}, {shared[0]} for one: name two separate sets")
    parts = []
    for name, data in (("A", a), ("B", b)):
        own = counted_runs(data, warmup)
        if own.empty:
            raise UsageError(f"{name}: no run can be counted")
        seconds = epoch_times(data, warmup).groupby("path")["seconds"].median()
        parts.append(own.assign(set=name, seconds=own["path"].map(seconds).astype("float64")))
    return pd.concat(parts, ignore_index=True).rename(columns={"world_size": "ranks"})


def _matching(runs: pd.DataFrame) -> list[str]:
    others = [key for key in configured(runs).keys if key not in (*_WORK, "study", "kind", "cpu_model", "device")]
    of_set = runs.groupby("set")
    return [*_WORK, *(key for key in others if of_set[key].nunique(dropna=False).gt(1).any())]


def _options(runs: pd.DataFrame) -> list[str]:
    return [key for key in runs if isinstance(key, str) and key.startswith(("train_", "version_"))]


def _compared(
    a: pd.DataFrame, b: pd.DataFrame, confidence: float, allowed: float, accuracy_allowed: float = 0.0
) -> dict[str, Json]:
    nothing = Comparison(*Shift(*[math.nan] * 6), False, "only in A" if len(a) else "only in B")
    one, other = list(a["seconds"]), list(b["seconds"])
    found = compare(one, other, confidence) if len(a) and len(b) else nothing
    relative = relative_shift(one, other, confidence, allowed)
    seconds_a, seconds_b = _median(a["seconds"]), _median(b["seconds"])
    quality_a, quality_b = a["test_accuracy"].dropna(), b["test_accuracy"].dropna()
    quality = shift(list(quality_a), list(quality_b), confidence) if len(quality_a) and len(quality_b) else None
    enough = quality is not None and quality.coverage >= confidence
    p_allowed = p_of_no_shift(list(quality_a - accuracy_allowed), list(quality_b)) if enough else math.nan
    return {
        "runs_a": len(a),
        "runs_b": len(b),
        "epoch_seconds_a": seconds_a,
        "epoch_seconds_b": seconds_b,
        "change": seconds_b / seconds_a - 1,
        "change_low": relative.low,
        "change_high": relative.high,
        "p_allowed": relative.p_allowed,
        "difference": found.difference,
        "difference_low": found.low,
        "difference_high": found.high,
        "coverage": found.coverage,
        "p_value": found.p_value,
        "effect_size": found.effect_size,
        "conclusive": found.conclusive,
        "test_accuracy_a": _median(quality_a),
        "test_accuracy_b": _median(quality_b),
        "test_accuracy_change": quality.difference if quality else math.nan,
        "test_accuracy_change_low": quality.low if quality and enough else math.nan,
        "test_accuracy_change_high": quality.high if quality and enough else math.nan,
        "test_accuracy_p_allowed": p_allowed,
        "words": found.words,
    }


def _median(values: pd.Series[float]) -> float:
    return float(np.median(values)) if len(values) else math.nan
