"""The option that every command with a table has. How rows are printed is in ``util/table.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from hpcnn.util.table import FORMATS


def format_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--format table|json|csv`` as parameter ``fmt``."""
    return click.option(
        "--format",
        "fmt",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print: a table for people; JSON or CSV for programs.",
    )(function)
