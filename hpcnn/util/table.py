"""Print rows: as a table for people, as JSON or CSV for programs.

Rows are dictionaries with the same keys. JSON and CSV hold the raw values; the table shows some columns, formatted.
Must not import any other room.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from hpcnn.util.text import in_one_line, visible
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from rich.console import Console

# What a cell that is a formula begins with (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

FORMATS = ("table", "json", "csv")

Row = Mapping[str, Json]


@dataclass(frozen=True)
class Column:
    """One column of the printed table: the key of the row, its heading, and how to format a value."""

    key: str
    heading: str
    show: Callable[[Json], str] = str
    right: bool = False


def emit(rows: Sequence[Row], fmt: str, columns: Sequence[Column], *, title: str | None = None) -> None:
    """Print ``rows`` to standard output in one of FORMATS."""
    if fmt == "json":
        text = json.dumps(list(rows), indent=2, allow_nan=False, default=str)
        click.echo(text.replace("\x7f", "\\u007f"))  # the one control character that JSON lets through
    elif fmt == "csv":
        _emit_csv(rows, columns)
    else:
        _emit_table(rows, columns, title)


def _emit_csv(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    keys = list(rows[0]) if rows else [column.key for column in columns]
    writer = csv.DictWriter(sys.stdout, fieldnames=keys, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: json.dumps(v) if isinstance(v, (list, dict)) else no_formula(v) for k, v in row.items()})


def no_formula(value: Json) -> Json:
    """Return a value for a cell of a CSV file: a text that a spreadsheet takes for a formula gets a ' before it."""
    if not isinstance(value, str):
        return value
    return f"'{visible(value)}" if value.startswith(_FORMULA) else visible(value)


def _emit_table(rows: Sequence[Row], columns: Sequence[Column], title: str | None) -> None:
    from rich import box
    from rich.table import Table

    if title:
        # As a table's own title, it would be folded to the table's width; in a file, a line is not folded at all.
        console().print(title, markup=False, soft_wrap=not sys.stdout.isatty())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.heading, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column.key), column.show) for column in columns))
    console().print(table)


def _cell(value: Json, show: Callable[[Json], str]) -> str:
    from rich.markup import escape

    return "–" if value is None else escape(in_one_line(show(value)))


def console(*, stderr: bool = False) -> Console:
    """Return a rich console that does not break long lines when the output goes into a file."""
    from rich.console import Console

    plain = not (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, width=200 if plain else None, highlight=False, soft_wrap=False)
