"""``hpcnn doctor``: diagnose this machine; run it first, and paste its output into an issue."""

from __future__ import annotations

import dataclasses
import os

import click

from hpcnn.cli.output import format_option
from hpcnn.util.table import Column, emit

_COLUMNS = (
    Column("check", "Check"),
    Column("value", "Found"),
    Column("status", "Status"),
    Column("advice", "What to do"),
)


@click.command(epilog="Example:  hpcnn doctor --format json > doctor.json")
@format_option
@click.pass_context
def command(ctx: click.Context, fmt: str) -> None:
    """Say what this machine has and what to do about what is missing.

    Exit status: 0 where one process can train, else 1. Takes some seconds, because it imports TensorFlow.
    """
    from hpcnn.machine.doctor import examine, trains_serially

    findings = examine(os.environ)
    emit([dataclasses.asdict(finding) for finding in findings], fmt, _COLUMNS)
    ctx.exit(0 if trains_serially(findings) else 1)
