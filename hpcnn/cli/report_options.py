"""The options that all reports share."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import click

from hpcnn.cli.choice import Choice
from hpcnn.cli.output import wide_option
from hpcnn.util.table import REPORT_FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpcnn.cli.options import Command

_Decorator: TypeAlias = "Callable[[Command], Command]"

_format_option: _Decorator = click.option(
    "--format",
    "fmt",
    type=Choice(REPORT_FORMATS),
    default="table",
    show_default=True,
    help="How to print: table, markdown, latex for people; json, csv, parquet for programs, with all columns.",
)


def format_option(function: Command) -> Command:
    """Add ``--format`` with the formats of reports, and ``--wide``."""
    return _format_option(wide_option(function))


warmup_option: _Decorator = click.option(
    "--warmup",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Epochs left out at the beginning of a run.",
)
confidence_option: _Decorator = click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Confidence of the intervals.",
)
