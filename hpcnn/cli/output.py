"""The option ``--format`` of commands that print a table with ``util/table.py``."""

from __future__ import annotations

import click

from hpcnn.cli.options import Command
from hpcnn.util.table import FORMATS


def format_option(function: Command) -> Command:
    """Add ``--format table|json|csv`` as parameter ``fmt``."""
    return click.option(
        "--format",
        "fmt",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print: a table for people; JSON or CSV for programs.",
    )(function)
