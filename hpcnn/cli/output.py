"""The options ``--format`` and ``--wide`` of commands that print a table with ``util/table.py``."""

from __future__ import annotations

import click

from hpcnn.cli.options import Command
from hpcnn.util.table import FORMATS, ask_wide


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
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print: a table for people; JSON or CSV for programs.",
    )(function)
