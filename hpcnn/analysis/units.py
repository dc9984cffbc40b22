"""The units of the columns of all tables, in ``DataFrame.attrs["units"]``: the end of a name is its unit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a name ends with, or contains as a word, and its unit; the first that fits counts.
UNITS = (
    (r"images_per_second(_|$)", "1/s"),
    (r"gflops_per_second(_|$)", "Gflop/s"),
    (r"gbytes_per_second(_|$)", "GB/s"),
    (r"bytes_per_second(_|$)", "B/s"),
    (r"flops_per_second(_|$)", "flop/s"),
    (r"^flops_per_image$", "flop"),
    (r"^intensity$", "flop/B"),
    (r"(^|_)(node|core|gpu)_hours(_|$)", "h"),
    (r"(^|_)hours(_low|_high|$)", "h"),
    (r"(^|_)seconds(_|$)", "s"),
    (r"^interval_(low|high)$", "s"),
    (r"^difference(_low|_high)?$", "s"),
    (r"(^|_)kwh$", "kWh"),
    (r"^carbon_g$", "g"),
    (r"(^|_)bytes(_|$)", "B"),
)
# A charge is in the site's own unit, which the column charge_unit names.
_WITH_UNIT_IN_A_COLUMN = "charge_"
_NO_DIMENSION = "1"


class _Units(dict[str, str]):
    """Units by column. pandas copies ``attrs`` deeply in almost every operation: texts need no copy each."""

    def __deepcopy__(self, memo: object) -> _Units:
        return _Units(self)


def unit_of(column: str) -> str | None:
    """Return the unit that the name of a column says; None where it says none."""
    return next((unit for pattern, unit in UNITS if re.search(pattern, column)), None)


def with_units(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``table`` with the unit of each column of numbers in ``attrs["units"]``.

    Counts, fractions and ratios have the unit "1"; texts and charges have none.
    """
    table.attrs["units"] = _Units(_units(table))
    return table


def _units(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    for key, dtype in table.dtypes.items():
        if unit := unit_of(str(key)):
            yield str(key), unit
        elif (
            pd.api.types.is_numeric_dtype(dtype)
            and not pd.api.types.is_bool_dtype(dtype)
            and not str(key).startswith(_WITH_UNIT_IN_A_COLUMN)
        ):
            yield str(key), _NO_DIMENSION
