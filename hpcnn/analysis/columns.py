"""Rows of JSON values as typed columns, in little memory: a million rows are some arrays, not a million dictionaries.

A column's type decides what of its values counts: what is not of it is as good as missing. Columns that nobody has
given a type keep their values as they are until all rows are together. Must not know files, nor what a column means.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# pandas' name of a type -> the type of its array, and what stands where a value is missing
_ARRAYS: dict[str, tuple[Any, Any]] = {
    "float64": (np.float64, np.nan),
    "Int64": (np.int64, 0),
    "int64": (np.int64, 0),
    "boolean": (np.bool_, False),
}


class Typed(NamedTuple):
    """A column of numbers: its values, and which of them are missing (of floats, those that are NaN)."""

    values: npt.NDArray[Any]
    missing: npt.NDArray[np.bool_] | None


class Columns(NamedTuple):
    """Rows as columns. ``typed`` has the same names in all parts that are put together; ``others`` may differ."""

    rows: int
    typed: dict[str, Typed]
    others: dict[str, list[Any]]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> Columns:
        """Return ``rows`` with the typed columns of ``types``, and all others that any row has."""
        others = {key: None for row in rows for key in row if key not in types}
        return cls(
            len(rows),
            {key: _typed([row.get(key) for row in rows], dtype) for key, dtype in types.items()},
            {key: [row.get(key) for row in rows] for key in others},
        )

    @classmethod
    def concatenated(cls, parts: Sequence[Columns]) -> Columns:
        """Return the rows of all ``parts``, of which there is at least one, in their order."""
        if len(parts) == 1:
            return parts[0]
        names = {key: None for part in parts for key in part.others}
        return cls(
            sum(part.rows for part in parts),
            {key: _joined([part.typed[key] for part in parts]) for key in parts[0].typed},
            {key: [v for part in parts for v in part.others.get(key) or [None] * part.rows] for key in names},
        )

    def take(self, rows: npt.NDArray[np.int64]) -> Columns:
        """Return the rows with these numbers, in this order."""
        return Columns(
            len(rows),
            {key: Typed(v[rows], None if m is None else m[rows]) for key, (v, m) in self.typed.items()},
            {key: [values[row] for row in rows] for key, values in self.others.items()},
        )

    def frame(self, first: Mapping[str, pd.Series[Any]], types: Mapping[str, str]) -> pd.DataFrame:
        """Return the table: the columns ``first``, the typed ones, and after them all others, by name.

        A column of which no row knows a value is not there unless it is typed.
        """
        columns: dict[str, Any] = dict(first)
        columns |= {key: _array(values, types[key]) for key, values in self.typed.items()}
        known = {key: values for key, values in self.others.items() if any(value is not None for value in values)}
        return pd.DataFrame(columns | {key: _series(known[key], inferred(known[key])) for key in sorted(known)})


def frame(rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> pd.DataFrame:
    """Return a table of ``rows`` with the columns of ``types``, and after them all others, by name."""
    others = sorted({key for row in rows for key in row} - types.keys())
    columns = {key: [row.get(key) for row in rows] for key in (*types, *others)}
    return pd.DataFrame({key: _series(v, types.get(key) or inferred(v)) for key, v in columns.items()})


def inferred(values: Iterable[Any]) -> str:
    """Return the type of a column that nobody has given one."""
    known = [value for value in values if value is not None]
    if all(_integer(value) is not None for value in known):
        return "Int64"
    return "float64" if all(_number(value) is not None for value in known) else "string"


def _series(values: Sequence[Any], dtype: str) -> pd.Series[Any]:
    return pd.Series([_AS[dtype](value) for value in values], dtype=dtype)


def _typed(values: list[Any], dtype: str) -> Typed:
    kind, nothing = _ARRAYS[dtype]
    if dtype == "float64" and set(map(type, values)) == {float}:  # in a hundredth of the time
        array = np.array(values, kind)
        return Typed(np.where(np.isfinite(array), array, nothing), None)
    of_type = [_AS[dtype](value) for value in values]
    array = np.array([nothing if value is None else value for value in of_type], kind)
    return Typed(array, None if dtype == "float64" else np.array([value is None for value in of_type], np.bool_))


def _joined(parts: Sequence[Typed]) -> Typed:
    missing = [part.missing for part in parts if part.missing is not None]
    return Typed(np.concatenate([part.values for part in parts]), np.concatenate(missing) if missing else None)


def _array(column: Typed, dtype: str) -> Any:
    values, missing = column
    if dtype == "Int64" and missing is not None:
        return pd.arrays.IntegerArray(values, missing)
    return pd.arrays.BooleanArray(values, missing) if dtype == "boolean" and missing is not None else values


def _integer(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and -(2**63) <= value < 2**63 else None


def _number(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and abs(value) <= sys.float_info.max else None


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return encodable(value) if isinstance(value, str) else json.dumps(value, sort_keys=True)


def encodable(text: str) -> str:
    """Return a text that UTF-8 can hold: what it cannot (a byte of a path, half a character in JSON) as ``\\udcff``."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


_AS: dict[str, Callable[[Any], Any]] = {
    "string": _text,
    "Int64": _integer,
    "int64": _integer,
    "float64": _number,
    "boolean": lambda value: value if isinstance(value, bool) else None,
}


def known(value: Any, unknown: str = "unset") -> str:
    """Return ``value`` as text, or ``unknown`` where it is missing."""
    return unknown if pd.isna(value) else str(value)
