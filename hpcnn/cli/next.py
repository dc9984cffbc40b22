"""What to type next: the last lines of commands that submit or run."""

from __future__ import annotations

import click


def next_lines(*commands: str) -> None:
    """Say on standard error what to type next."""
    for number, command in enumerate(commands):
        click.echo(f"{'     ' if number else 'next:'} {command}", err=True)
