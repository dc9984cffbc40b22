"""``hpcnn interact``: open an interactive session on a compute node, in a container if asked."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from hpcnn.cli.grouped import GroupedCommand
from hpcnn.cli.options import given_options, spec_from_options, spec_options
from hpcnn.cli.session import open_session, session_options
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec, check_environment


@click.command(
    cls=GroupedCommand,
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn interact --site bridges2 --gpus-per-node 1 --container tensorflow.sif\n"
        "  hpcnn interact --site narval --account def-prof --time 30 -- python -i my_script.py"
    ),
)
@session_options
@click.option("--dry-run", is_flag=True, help="Print what would be typed, exactly, and do nothing else.")
@spec_options(Resources)
@spec_options(SoftwareSpec)
@click.argument("program", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
def command(site: str, way: str, dry_run: bool, program: tuple[str, ...], **options: object) -> None:
    """Open a session on a compute node: a shell in the container with its GPUs, or COMMAND in place of the shell.

    Without --container the shell has the site's modules and this environment's programs. The session's exit status is
    the command's. Some sites' own commands take nothing to run: then the line to type in the session is printed first.
    """
    from hpcnn.jobs.interact import Here, session
    from hpcnn.sites.load import load_site

    profile = load_site(site)
    software = spec_from_options(SoftwareSpec, given_options(SoftwareSpec, options))
    if not dry_run:
        check_environment(software)
    opened = session(
        profile,
        spec_from_options(Resources, given_options(Resources, options)),
        software,
        Here(
            directory=str(Path.cwd()),
            bin=str(Path(sys.executable).parent),
            environment={key: os.environ[key] for key in ("HPCNN_DATA",) if key in os.environ},
        ),
        program,
        way,
    )
    open_session(opened, profile, dry_run=dry_run)
