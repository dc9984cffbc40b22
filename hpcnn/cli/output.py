"""How commands print: the options ``--format`` and ``--wide``, and lines with names that others may have chosen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from hpcnn.cli.choice import Choice
from hpcnn.util.table import FORMATS, ask_wide, folded, note, width
from hpcnn.util.text import BYTES_OR_ESCAPES, shown_path, visible

if TYPE_CHECKING:
    from hpcnn.cli.options import Command


def wide_option(function: Command) -> Command:
    """Add ``--wide``, which ``util/table.py`` asks for itself."""

    def chosen(context: click.Context, _option: click.Parameter, value: bool) -> None:
        if value:
            ask_wide(context)

    return click.option(
        "--wide", is_flag=True, expose_value=False, callback=chosen, help="Show all columns of a table."
    )(function)


def format_option(function: Command) -> Command:
    """Add ``--format table|json|csv`` as parameter ``fmt``, and ``--wide``."""
    function = wide_option(function)
    return click.option(
        "--format",
        "fmt",
        type=Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print: a table for people; JSON or CSV for programs.",
    )(function)


def say(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Print a line, or a script, byte for byte; on a terminal, with everything that would steer it written out."""
    on_terminal = (sys.stderr if err else sys.stdout).isatty()
    click.echo(visible(str(text)) if on_terminal else str(text).encode("utf-8", BYTES_OR_ESCAPES), err=err, nl=nl)


def say_closed(line: str) -> None:
    """Say on standard error which run was left out, and why it could not be read."""
    note(f"left out: {shown_path(line)}", err=True)


def say_folded(line: str) -> None:
    """Print a line of a log, on a terminal folded at its spaces."""
    # what draws on the terminal itself, as a program's own bar does, is not folded
    plain = sys.stdout.isatty() and line.isprintable()
    say(folded(line, width()) if plain else line)
