"""Print rows: as a table for people, as JSON or CSV for programs.

Rows are dictionaries with the same keys. JSON and CSV hold the raw values; the table shows some columns, formatted.
Must not import any other room.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from hpcnn.util.text import in_one_line, visible
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from rich.console import Console

    from hpcnn.util.layout import Block

# What a cell that is a formula begins with (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

FORMATS = ("table", "json", "csv")
# Those of reports, and which of them people read.
REPORT_FORMATS = ("table", "json", "csv", "markdown", "latex", "parquet")
FOR_PEOPLE = ("table", "markdown", "latex")

Row = Mapping[str, Json]


class Column(NamedTuple):
    """One column of the printed table: the key of the row, its heading, and how to format a value.

    right: numbers, which are never broken. Cells of other columns may be folded, unless ``folds`` is false. wide: the
    column is shown with ``--wide`` only. leads: it is repeated where a table goes on below itself; the first always is.
    spare: it is left out rather than shown below the others.
    """

    key: str
    heading: str
    show: Callable[[Json], str] = str
    right: bool = False
    folds: bool = True
    wide: bool = False
    leads: bool = False
    spare: bool = False


def narrowed(columns: Sequence[Column], keys: Collection[str]) -> list[Column]:
    """Return the columns, with those beyond ``keys`` shown by ``--wide`` only."""
    return [column._replace(wide=column.key not in keys) for column in columns]


def emit(rows: Sequence[Row], fmt: str, columns: Sequence[Column], *, title: str | None = None) -> None:
    """Print ``rows`` to standard output in one of FORMATS."""
    if fmt == "json":
        import json

        text = json.dumps(list(rows), indent=2, allow_nan=False, default=str)
        click.echo(text.replace("\x7f", "\\u007f"))  # the one control character that JSON lets through
    elif fmt == "csv":
        _emit_csv(rows, columns)
    else:
        _emit_table(rows, columns, title)


def _emit_csv(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    import csv
    import json

    keys = list(rows[0]) if rows else [column.key for column in columns]
    writer = csv.DictWriter(sys.stdout, fieldnames=keys, lineterminator="\n")
    writer.writerow({key: no_formula(key) for key in keys})
    for row in rows:
        writer.writerow({k: json.dumps(v) if isinstance(v, (list, dict)) else no_formula(v) for k, v in row.items()})


def no_formula(value: Json) -> Json:
    """Return a value for a cell of a CSV file: a text that a spreadsheet takes for a formula gets a ' before it."""
    if not isinstance(value, str):
        return value
    return f"'{visible(value)}" if value.startswith(_FORMULA) else visible(value)


def _emit_table(rows: Sequence[Row], columns: Sequence[Column], title: str | None) -> None:
    from rich.cells import cell_len

    from hpcnn.util.layout import Content, fit

    if title:
        note(title)
    shown = [column for column in columns if wide_asked() or not column.wide]
    if not shown:
        return
    texts = [[_cell(row.get(column.key), column.show) for row in rows] for column in shown]
    contents = [
        Content(
            in_one_line(column.heading),
            cells,
            folds=column.folds and not column.right,
            leads=column.leads,
            spare=column.spare and not wide_asked(),
        )
        for column, cells in zip(shown, texts, strict=True)
    ]
    click.echo()
    every = range(len(rows))
    for place, block in enumerate(fit(contents, width(), cell_len)):
        below = [placed.number for placed in block.columns if placed.number and not shown[placed.number].leads]
        kept = [row for row in every if place == 0 or any(texts[number][row] for number in below)]
        _print_block(block, shown, texts, kept)
    hidden = len(columns) - len(shown)
    if hidden and sys.stdout.isatty():
        click.secho(f"--wide shows {hidden} more {'column' if hidden == 1 else 'columns'}", dim=True)


def _print_block(block: Block, columns: Sequence[Column], texts: Sequence[Sequence[str]], rows: Sequence[int]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    # the box has a divider of one space
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, block.gap - 2), show_edge=False)
    for placed in block.columns:
        column = columns[placed.number]
        # rich counts the padding before the first column, which it leaves out, as width
        table.add_column(
            Text(placed.heading),
            justify="right" if column.right else "left",
            overflow="fold",
            min_width=placed.width,
            max_width=placed.width,
        )
    for number in rows:
        cells = [texts[placed.number][number] for placed in block.columns]
        keys = [columns[placed.number].key for placed in block.columns]
        table.add_row(*(Text(cell, _style(key, cell)) for key, cell in zip(keys, cells, strict=True)))
    output = console(least=sum(placed.width + block.gap for placed in block.columns))
    output.print(table)
    click.echo()


# How a person sees the states of runs and checks, on a terminal.
_COLOURS = {
    **dict.fromkeys(("completed", "ok", "yes", "finished"), "green"),
    **dict.fromkeys(("running", "pruned"), "cyan"),
    **dict.fromkeys(("failed", "error", "FAILED"), "red"),
    **dict.fromkeys(("interrupted", "warning", "unknown", "missing", "no"), "yellow"),
}


def _style(key: str, cell: str) -> str:
    return _COLOURS.get(cell, "") if key in ("status", "state", "staged") else ""


def _cell(value: Json, show: Callable[[Json], str]) -> str:
    return "–" if value is None else in_one_line(show(value))


def note(text: str, *, err: bool = False, after: int = 0) -> None:
    """Print a sentence: on a terminal folded at its spaces, else in one line. after: columns before it in its line."""
    text = visible(text)
    if (sys.stderr if err else sys.stdout).isatty() or _columns_given():
        text = folded(" " * after + text, width(err=err))[after:]
    click.echo(text, err=err)


def folded(text: str, columns: int) -> str:
    """Return lines folded at their spaces, to as many columns; one that is indented goes on with two columns more."""
    import textwrap

    return "\n".join(
        textwrap.fill(
            line,
            columns,
            subsequent_indent=" " * (len(line) - len(line.lstrip()) + 2) if line.startswith(" ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.split("\n")
    )


# Where a file, or a program, gets a table: nothing is folded before so many columns.
_IN_FILES = 200
# Columns of a terminal that does not say how many it has.
_USUAL = 80
_WIDE = "hpcnn.wide"


def ask_wide(context: click.Context) -> None:
    """Let the tables of this command show all their columns, as ``--wide`` does."""
    context.meta[_WIDE] = True


def wide_asked() -> bool:
    """Return whether the command that runs was given ``--wide``."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_WIDE))


def width(*, err: bool = False) -> int:
    """Return the columns that a line may take: those of the terminal, or of $COLUMNS, or very many for a file."""
    is_terminal = (sys.stderr if err else sys.stdout).isatty()
    return columns() if is_terminal or _columns_given() else _IN_FILES


def columns() -> int:
    """Return $COLUMNS, the columns of the terminal, or 80: ``shutil.get_terminal_size``, which takes long to load."""
    if _columns_given() and int(os.environ["COLUMNS"]):
        return int(os.environ["COLUMNS"])
    try:
        return os.get_terminal_size((sys.__stdout__ or sys.stdout).fileno()).columns or _USUAL
    except (ValueError, OSError):  # closed, or no terminal
        return _USUAL


def _columns_given() -> bool:
    return os.environ.get("COLUMNS", "").isdecimal()


def console(*, stderr: bool = False, least: int = 0) -> Console:
    """Return a rich console that does not break long lines when the output goes into a file. least: its width."""
    from rich.console import Console

    return Console(stderr=stderr, width=max(width(err=stderr), least), highlight=False, soft_wrap=False)
