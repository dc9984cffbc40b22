"""A view: a table for people, with its title, its columns with values, and a caption with its rules.

``write`` prints it as text, Markdown or LaTeX; must not import it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpcnn.specs.train import AugmentSpec
from hpcnn.util.files import parse_json
from hpcnn.util.table import Column
from hpcnn.util.text import visible
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

# A row of a table, by column: Python's own values, None where one is missing.
Row = dict[str, Json]

# Options that are a table of keywords; a report's tables hold them as JSON.
_WITH_KEYWORDS = ("train_augment", "train_model_args", "train_data_args")


@dataclass(frozen=True)
class View:
    """One table to show.

    same: what all rows have in common. lines: sentences below the rows. caption: what the numbers are; short_caption:
    what those are that a terminal shows without --wide, where it is less.
    """

    title: str
    rows: list[Row]
    columns: list[Column]
    same: str = ""
    caption: str = ""
    lines: list[str] = field(default_factory=list)
    short_caption: str = ""

    @property
    def shown(self) -> list[Column]:
        """The columns in which some row has a value."""
        return [column for column in self.columns if any(row.get(column.key) is not None for row in self.rows)]

    def cells(self) -> list[list[str]]:
        """Return the rows as texts, a dash where a value is missing."""
        return [[cell(row.get(column.key), column) for column in self.shown] for row in self.rows]


def cell(value: Json, column: Column) -> str:
    """Return one value in the format of its column, or a dash for a missing value."""
    return "–" if value is None else visible(column.show(value))


def records(table: pd.DataFrame) -> list[Row]:
    """Return the rows with Python's own values, None where one is missing or infinite (JSON has no infinity)."""
    columns = {
        str(key): [
            None if gone or _infinite(value) else value for value, gone in zip(values, table[key].isna(), strict=True)
        ]
        for key, values in table.to_dict("list").items()
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def same_and_varying(rows: Sequence[Row], settings: Sequence[str]) -> tuple[str, list[str]]:
    """Return the settings that are the same in all rows, in words, and the names of the others."""
    varying = [key for key in settings if any(row[key] != rows[0][key] for row in rows)]
    alike = [key for key in settings if key not in varying and rows[0][key] not in (None, "")]
    same = [f"{name(key)} {setting(key).show(rows[0][key])}" for key in alike]
    return (f"In all rows: {', '.join(same)}." if same else ""), varying


def name(key: str) -> str:
    """Return a setting as the user wrote it: without the prefix of the table's column."""
    return key.removeprefix("point_").removeprefix("train_")


def setting(key: str) -> Column:
    """Return the column of an option; of ``--augment``, only the keywords that have an effect."""
    idle = vars(AugmentSpec()) if key == "train_augment" else {}
    return Column(key, name(key), (lambda text: _keywords(text, idle)) if key in _WITH_KEYWORDS else str)


def _keywords(text: str, idle: Mapping[str, Json]) -> str:
    """Return a JSON object as ``rotation=10.0, zoom=0.1``, without values that are ``idle``.

    A text that is no JSON object, of a damaged record, stays as it is.
    """
    try:
        keywords = parse_json(text)
    except ValueError:
        return text
    if not isinstance(keywords, dict):
        return text
    return ", ".join(f"{key}={value}" for key, value in keywords.items() if value != idle.get(key, ...)) or "none"


def number(key: str, heading: str, digits: int | None = None) -> Column:
    """Return a column of numbers: with three significant digits, or ``digits`` after the point."""
    from hpcnn.util.text import significant

    return Column(key, heading, significant if digits is None else f"{{:.{digits}f}}".format, right=True)


def count(key: str, heading: str) -> Column:
    """Return a column of whole numbers."""
    return Column(key, heading, right=True)


def percent(key: str, heading: str, digits: int = 1) -> Column:
    """Return a column of fractions, shown as percentages."""
    return Column(key, heading, f"{{:.{digits}%}}".format, right=True)


def span(row: Row, low: str, high: str) -> str | None:
    """Return "low..high" of two columns, "open" for a missing end; None where both are missing."""
    from hpcnn.util.text import significant

    ends = [None if row[key] is None else significant(row[key]) for key in (low, high)]
    return None if ends == [None, None] else "..".join("open" if end is None else end for end in ends)


def _infinite(value: Json) -> bool:
    return isinstance(value, float) and math.isinf(value)
