"""The units of the columns of tables, in ``DataFrame.attrs["units"]``: the end of a name is its unit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# What a name ends with, or contains as a word, and its unit; the first that fits counts.
_UNITS = (
    (r"images_per_second(_|$)", "1/s"),
    (r"gflops_per_second(_|$)", "Gflop/s"),
    (r"gbytes_per_second(_|$)", "GB/s"),
    (r"bytes_per_second(_|$)", "B/s"),
    (r"flops_per_second(_|$)", "flop/s"),
    (r"(^|_)(node|core|gpu)_hours(_|$)", "h"),
    (r"(^|_)hours(_low|_high|$)", "h"),
    (r"(^|_)seconds(_|$)", "s"),
    (r"^interval_(low|high)$", "s"),
    (r"^difference(_low|_high)?$", "s"),
    (r"(^|_)kwh$", "kWh"),
    (r"^carbon_g$", "g"),
    (r"(^|_)bytes(_|$)", "B"),
)


def unit_of(column: str) -> str | None:
    """Return the unit of a column; None for a text, a count, a fraction, or a charge, whose unit is a column."""
    return next((unit for pattern, unit in _UNITS if re.search(pattern, column)), None)


def with_units(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``table`` with the units of its columns in ``attrs["units"]``."""
    table.attrs["units"] = {key: unit for key in table.columns if (unit := unit_of(str(key)))}
    return table
