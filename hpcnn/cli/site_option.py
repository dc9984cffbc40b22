"""The option ``--site`` of commands that work on this machine unless told otherwise."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpcnn.cli.options import Command

VARIABLE = "HPCNN_SITE"
_HERE = "local"


def site_option(help_text: str, name: str = "site") -> Callable[[Command], Command]:
    """Add ``--site``: by default ``$HPCNN_SITE``, that of the user's files, or ``local``.

    A login node is recognised as its cluster's, or wants a site.
    """
    return click.option(
        "--site",
        name,
        default=None,
        metavar="NAME",
        callback=_chosen,
        help=f"{help_text}  [default: ${VARIABLE}, your config, else {_HERE}]",
    )


def _chosen(context: click.Context, option: click.Parameter, value: str | None) -> str:
    """Return the site. Raises UsageError on a login node where nobody says that the work is to be done there."""
    from hpcnn.cli.defaults import is_default

    named = os.environ.get(VARIABLE)
    chosen = named or value if is_default(option.name or "") else value or named
    if chosen or context.resilient_parsing:
        return chosen or _HERE
    from hpcnn.scheduler.login import is_login_node

    if is_login_node(os.environ):
        from hpcnn.sites.recognise import recognised

        known = recognised(os.environ)
        if known is not None:
            click.echo(f"site: {known[0]} ({known[1]})", err=True)
            return known[0]
        raise UsageError(
            "--site: this is a login node of a Slurm cluster, and this shell is in no job. Give --site NAME to use the "
            f"cluster (`hpcnn sites list`), or --site {_HERE} to compute on this machine itself; {VARIABLE} can hold it"
        )
    return _HERE
