"""Open an interactive session, or show the command that would."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import click

from hpcnn.cli.choice import Choice
from hpcnn.cli.site_option import site_option
from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from hpcnn.cli.options import Command
    from hpcnn.jobs.interact import Session
    from hpcnn.sites.profile import Site


def session_options(command: Command) -> Command:
    """Give a command the options that say at which site a session is opened, and how."""
    way = click.option(
        "--by",
        "way",
        type=Choice(("site", "salloc")),
        default="site",
        show_default=True,
        help="The site's own command for sessions, or Slurm's salloc.",
    )
    return site_option("Site profile: how this machine gives sessions.")(way(command))


def open_session(opened: Session, site: Site, *, dry_run: bool) -> None:
    """Replace this process by a session, which takes over the terminal and the exit status; or print its words.

    Prints the line to type first, where the site's command takes nothing to run. Raises UsageError where that command
    is not on this machine.
    """
    from hpcnn.scheduler import scheduler_of

    if dry_run:
        click.echo(shlex.join(opened.words))
    if opened.typed:
        click.echo(f"# in the session, type:\n{opened.typed}", err=not dry_run)
    if dry_run:
        return
    try:
        os.execvpe(opened.words[0], opened.words, scheduler_of(site.scheduler).environment(os.environ))
    except FileNotFoundError as error:
        raise UsageError(
            f"{opened.words[0]} is not on this machine: --site names the cluster that this login node belongs to"
        ) from error
