"""Rows of JSON values as typed columns, in little memory: a million rows are some arrays, not a million dictionaries.

A value that is not of its column's type counts as missing. Columns without a given type keep their values as they are
until all rows are together. Must not read files.
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

    from hpcnn.util.types import Array, Json

    _Column = Array | pd.Series[Any] | pd.arrays.IntegerArray | pd.arrays.BooleanArray


class _ArrayType(NamedTuple):
    """How NumPy holds a column: the type of its array, and what stands where a value is missing."""

    dtype: npt.DTypeLike
    placeholder: float | bool


# By pandas' name of a type.
_ARRAY_TYPES = {
    "float64": _ArrayType(np.float64, np.nan),
    "Int64": _ArrayType(np.int64, 0),
    "int64": _ArrayType(np.int64, 0),
    "boolean": _ArrayType(np.bool_, False),
}


class Typed(NamedTuple):
    """A column of numbers: its values, and which of them are missing (of floats, those that are NaN)."""

    values: Array
    missing: npt.NDArray[np.bool_] | None


class Columns(NamedTuple):
    """Rows as columns. ``typed`` has the same names in all parts that are put together; ``others`` may differ."""

    rows: int
    typed: dict[str, Typed]
    others: dict[str, list[Json]]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Json]], types: Mapping[str, str]) -> Columns:
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

        An untyped column without any value is left out.
        """
        columns: dict[str, _Column] = dict(first)
        columns |= {key: _array(values, types[key]) for key, values in self.typed.items()}
        known = {key: values for key, values in self.others.items() if any(value is not None for value in values)}
        return pd.DataFrame(columns | {key: _series(known[key], inferred_type(known[key])) for key in sorted(known)})


def frame(rows: Sequence[Mapping[str, Json]], types: Mapping[str, str]) -> pd.DataFrame:
    """Return a table of ``rows`` with the columns of ``types``, and after them all others, by name."""
    others = sorted({key for row in rows for key in row} - types.keys())
    columns = {key: [row.get(key) for row in rows] for key in (*types, *others)}
    return pd.DataFrame({key: _series(v, types.get(key) or inferred_type(v)) for key, v in columns.items()})


def inferred_type(values: Iterable[Json]) -> str:
    """Return the narrowest type that holds all values of a column without a given type."""
    known = [value for value in values if value is not None]
    if all(_integer(value) is not None for value in known):
        return "Int64"
    return "float64" if all(_number(value) is not None for value in known) else "string"


def _series(values: Sequence[Json], dtype: str) -> pd.Series[Any]:
    return pd.Series([_CONVERTED[dtype](value) for value in values], dtype=dtype)


def _typed(values: list[Json], dtype: str) -> Typed:
    kind, nothing = _ARRAY_TYPES[dtype]
    if dtype == "float64" and set(map(type, values)) == {float}:  # in a hundredth of the time
        array = np.array(values, kind)
        return Typed(np.where(np.isfinite(array), array, nothing), None)
    of_type = [_CONVERTED[dtype](value) for value in values]
    array = np.array([nothing if value is None else value for value in of_type], kind)
    return Typed(array, None if dtype == "float64" else np.array([value is None for value in of_type], np.bool_))


def _joined(parts: Sequence[Typed]) -> Typed:
    missing = [part.missing for part in parts if part.missing is not None]
    return Typed(np.concatenate([part.values for part in parts]), np.concatenate(missing) if missing else None)


def _array(column: Typed, dtype: str) -> _Column:
    values, missing = column
    if dtype == "Int64" and missing is not None:
        return pd.arrays.IntegerArray(values, missing)
    return pd.arrays.BooleanArray(values, missing) if dtype == "boolean" and missing is not None else values


def _integer(value: Json) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and -(2**63) <= value < 2**63 else None


def _number(value: Json) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and abs(value) <= sys.float_info.max else None


def _text(value: Json) -> str | None:
    if value is None:
        return None
    return encodable(value) if isinstance(value, str) else json.dumps(value, sort_keys=True)


def encodable(text: str) -> str:
    """Return a text in UTF-8; characters that it cannot hold (a byte of a path, half of one in JSON) as ``\\udcff``."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


# By pandas' name of a type: a value of that type, or None.
_CONVERTED: dict[str, Callable[[Json], Json]] = {
    "string": _text,
    "Int64": _integer,
    "int64": _integer,
    "float64": _number,
    "boolean": lambda value: value if isinstance(value, bool) else None,
}


def text_or(value: Json, missing: str = "unset") -> str:
    """Return a value of a table as text, or ``missing`` where the table has none."""
    return missing if pd.isna(value) else str(value)
