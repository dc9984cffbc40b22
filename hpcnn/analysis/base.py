"""Base cases: the row that each row of a scaling table is compared with, and whether rows may be compared.

A speed-up means nothing without its base case (Hoefler and Belli, SC15, rule 1). A table is one of strong or weak
scaling only if the sizes that must stay constant did. Works on summarised rows; must not import runs or epochs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from hpcnn.analysis.columns import text_or
from hpcnn.util.errors import UsageError, bad_value, unknown_value
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from hpcnn.util.types import Json

SIZE = ["ranks", "nodes", "ntasks"]

# Strong scaling holds these constant in total, weak scaling per rank.
_CONSTANT = {"samples": "number of samples", "batch_size": "batch size"}


def check_constant(rows: pd.DataFrame) -> None:
    """Raise UsageError for a table whose rows contradict its ``kind``, with the rows that differ.

    Strong: the same samples and global batch in every row. Weak: the same of both per rank. ``rows`` are
    those of one table, with ``study``, ``kind``, ``ranks``, ``samples`` (missing: not known) and
    ``batch_size``.
    """
    if not _scales(rows) or len(rows) == 1:
        return
    kind, study = rows["kind"].iloc[0], text_or(rows["study"].iloc[0])
    for key, name in _CONSTANT.items():
        values = rows[key] if kind == "strong" else rows[key] / rows["ranks"]
        if values.nunique(dropna=False) == 1 and (kind == "strong" or values.notna().all()):
            continue
        pairs = rows[["ranks", key]].drop_duplicates().sort_values(["ranks", key])
        listed = "; ".join(
            f"{counted(ranks, 'rank')}: {text_or(value)}" for ranks, value in pairs.itertuples(index=False)
        )
        held = f"one {name}" if kind == "strong" else f"one {name} per rank"
        raise UsageError(
            f"kind: study {study!r} is labelled {kind} scaling, which needs {held}, but its rows differ in "
            f"{key}: {listed}. A study that varies it is of kind throughput."
        )


def base_of_rows(
    rows: pd.DataFrame, settings: Sequence[str], wanted: Mapping[str, str] | None, apart: Sequence[str] = ()
) -> pd.Series[int]:
    """Return for each row of one table the index label of its base case.

    Rows that have the same ``settings`` and differ in size form a series, and its smallest row is its base. In a
    table that does not scale (kind throughput, or none), all rows that have the same ``apart`` (study, machine) are one
    series. ``wanted`` (column: value) restricts the candidates; if it fits a single row, that is the base of the whole
    table. Raises UsageError for an unknown column, and where ``wanted`` leaves rows without a base.
    """
    candidates = rows if wanted is None else rows[_fits(rows, settings, wanted)]
    asked = ",".join(f"{key}={value}" for key, value in (wanted or {}).items())
    if candidates.empty:
        raise UsageError(f"--base: {asked!r} fits no row of {_named(rows)}; rows: {_listed(rows)}")
    base = pd.Series(candidates.index[0], index=rows.index)
    if len(candidates) == 1:
        return base
    for series in series_of(rows, settings, apart):
        own = candidates[candidates.index.isin(series.index)]
        if own.empty:
            raise UsageError(
                f"--base: {asked!r} fits {len(candidates)} rows of {_named(rows)}, but none that "
                f"{row_name(rows, series.index[0], settings)} could be compared with; name a single row: "
                f"{_listed(rows)}"
            )
        base[series.index] = own.sort_values([*SIZE, *settings], kind="stable").index[0]
    return base


def base_case(rows: pd.DataFrame, label: Hashable, settings: Sequence[str]) -> str:
    """Return the name of the row ``label``, and its absolute measure.

    For example "1 rank, 3.21 s per epoch (median of 3 runs)".
    """
    row = _row(rows, label, ["runs", "epoch_seconds_median", "images_per_second"])
    runs = counted(row["runs"], "run")
    if _scales(rows):
        measure = f"{significant(row['epoch_seconds_median'])} s per epoch"
        runs = runs if row["runs"] == 1 else f"median of {runs}"
    else:
        measure = f"{significant(row['images_per_second'])} images/s"
    return f"{row_name(rows, label, settings)}, {measure} ({runs})"


def row_name(rows: pd.DataFrame, label: Hashable, settings: Sequence[str]) -> str:
    """Return the name of a row among others: its ranks, and each setting that is not the same in all."""
    row = _row(rows, label, ["ranks", "nodes", *settings])
    parts = [counted(row["ranks"], "rank")]
    if rows.loc[rows["ranks"] == row["ranks"], "nodes"].nunique(dropna=False) > 1:
        parts.append(f"nodes {text_or(row['nodes'])}")
    for key in settings:
        if rows[key].nunique(dropna=False) > 1 and not (_scales(rows) and key in _CONSTANT):
            parts.append(f"{key.removeprefix('point_').removeprefix('train_')} {text_or(row[key])}")
    return ", ".join(parts)


def _row(rows: pd.DataFrame, label: Hashable, keys: Sequence[str]) -> dict[str, Json]:
    return {key: rows.at[label, key] for key in dict.fromkeys(keys)}


def _scales(rows: pd.DataFrame) -> bool:
    return bool(rows["kind"].isin(["strong", "weak"]).iloc[0])


def series_of(rows: pd.DataFrame, settings: Sequence[str], apart: Sequence[str] = ()) -> list[pd.DataFrame]:
    """Return the rows of one table as its series: those that differ in size alone (see ``base_of_rows``)."""
    if not _scales(rows) and not apart:
        return [rows]
    fixed = [key for key in settings if key not in _CONSTANT and not _follows_size(rows, key)]
    fixed = fixed if _scales(rows) else list(apart)
    return [series for _, series in rows.groupby(fixed, dropna=False)]


def _follows_size(rows: pd.DataFrame, key: str) -> bool:
    """Return whether an axis of the study varies with the size alone: its values and the ranks go one to one."""
    if not key.startswith(("point_", "train_")):
        return False
    pairs = rows[[key, "ranks"]].drop_duplicates()
    return len(pairs) == rows[key].nunique(dropna=False) == rows["ranks"].nunique()


def _fits(rows: pd.DataFrame, settings: Sequence[str], wanted: Mapping[str, str]) -> pd.Series[bool]:
    fits = pd.Series(True, index=rows.index)
    for name, value in wanted.items():
        column = rows[_column([*SIZE, *settings], name)]
        same = column == (_as_number(name, value) if pd.api.types.is_numeric_dtype(column) else value)
        fits &= same.fillna(False).astype(bool)
    return fits


def _column(columns: Sequence[str], name: str) -> str:
    """Return the column that ``--base`` calls ``name``: an axis or option goes by its own name too."""
    for column in (name, f"point_{name}", f"train_{name}"):
        if column in columns:
            return column
    if name == "world_size":
        return "ranks"
    raise unknown_value("--base", name, columns)


def _as_number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise bad_value(f"--base {name}", value, "a number") from None


def _named(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    return f"study {text_or(first['study'], 'none')!r}, model {text_or(first['model'], 'none')!r}"


def _listed(rows: pd.DataFrame) -> str:
    keys = [key for key in ("ranks", "nodes", "strategy", "precision", "batch_size") if key in rows]
    lines = rows[keys].astype(object).drop_duplicates().to_dict("records")
    return "; ".join(",".join(f"{key}={text_or(value)}" for key, value in line.items()) for line in lines)
