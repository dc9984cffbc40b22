"""The option ``--after`` of the commands that submit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hpcnn.cli.options import Command


def after_option(function: Command) -> Command:
    """Add ``--after``, whose value is checked at once, also in a dry run."""

    def checked(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
        if value is None:
            return None
        from hpcnn.scheduler.dependency import dependency

        return dependency(value)

    return click.option(
        "--after",
        metavar="JOBS",
        default=None,
        callback=checked,
        help=(
            "Start only after these Slurm jobs have completed: 1234 or 1,2; or as sbatch's --dependency says, e.g. "
            "afterany:1:2, afternotok:3, after:4+10, aftercorr:5, singleton, and afterok:1?afterok:2 for one of them."
        ),
    )(function)
