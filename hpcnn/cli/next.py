"""What to type next: the last lines of commands that submit or run."""

from __future__ import annotations

import click


def next_lines(*commands: str) -> None:
    """Say on standard error what to type next."""
    for number, command in enumerate(commands):
        click.echo(f"{'     ' if number else 'next:'} {command}", err=True)


def no_runs() -> None:
    """Say that the runs folder is empty, instead of a table without rows, and what begins a run."""
    from hpcnn.rundir.layout import runs_folder
    from hpcnn.util.text import shown_path

    click.echo(f"no run in {shown_path(runs_folder())} yet")
    next_lines("hpcnn submit")
