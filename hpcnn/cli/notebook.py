"""``hpcnn notebook``: start JupyterLab on a compute node, in a container if asked, and print the tunnel to it."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcnn.cli.grouped import GroupedCommand
from hpcnn.cli.options import given_options, spec_from_options, spec_options
from hpcnn.cli.session import open_session, session_options
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec, check_environment
from hpcnn.util.errors import UsageError
from hpcnn.util.text import visible

if TYPE_CHECKING:
    from hpcnn.jobs.interact import Here
    from hpcnn.sites.profile import Site

# The port of the tunnel on the user's computer: Jupyter's default.
_LOCAL_PORT = 8888


class _Typed(GroupedCommand):
    """A command that keeps the words that were typed, to say them again on the compute node."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words, and keep them."""
        ctx.meta[__name__] = list(args)
        return super().parse_args(ctx, args)


@click.command(
    cls=_Typed,
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn notebook\n"
        "  hpcnn notebook --site narval --account def-prof --gpus-per-node 1 --time 2:00:00\n"
        "  hpcnn notebook --site bridges2 --gpus-per-node 1 --container jupyter.sif"
    ),
)
@session_options
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Port to listen on.  [default: a free one]")
@click.option("--here", is_flag=True, help="Serve on this machine, in the job that you are in; ask for no other.")
@click.option("--dry-run", is_flag=True, help="Print what would be started, and the tunnel, and do nothing else.")
@spec_options(Resources)
@spec_options(SoftwareSpec)
def command(site: str, way: str, port: int | None, here: bool, dry_run: bool, **options: object) -> None:
    """Start JupyterLab in the current directory, on a compute node or on this machine (with --here: the job's own).

    Prints the ssh command for your own computer and the address to open, and serves until Ctrl-C or the end of the job.
    The server listens on the node's own 127.0.0.1, and lets in only who has the address, which has a token drawn anew
    at each start.

    Needs JupyterLab, in the container if there is one: pip install 'hpcnn[notebook]'.
    """
    from hpcnn.jobs.interact import Here
    from hpcnn.scheduler import scheduler_of
    from hpcnn.sites.load import load_site

    profile = load_site(site)
    software = spec_from_options(SoftwareSpec, given_options(SoftwareSpec, options))
    resources = spec_from_options(Resources, given_options(Resources, options))
    if not dry_run:
        check_environment(software)
        _check_installed(software)
    start = Here(
        directory=str(Path.cwd()),
        bin=str(Path(sys.executable).parent),
        environment={key: os.environ[key] for key in ("HPCNN_DATA",) if key in os.environ},
    )
    if here or scheduler_of(profile.scheduler).this_machine_only:
        _serve(profile, software, start, gpu=bool(resources.gpus_per_node), port=port, dry_run=dry_run)
        return
    words = ["--here", "--site", site, *click.get_current_context().meta[__name__]]
    _on_a_node(profile, resources, start, words, way, dry_run=dry_run)


def _check_installed(software: SoftwareSpec) -> None:
    """Raise UsageError where this environment would serve and has no JupyterLab: before a node is asked for."""
    import importlib.util

    if software.container is None and importlib.util.find_spec("jupyterlab") is None:
        raise UsageError(_missing(software))


def _missing(software: SoftwareSpec) -> str:
    if software.container is not None:
        return f"--container: JupyterLab is not in {software.container}"
    return "JupyterLab is not in this environment: pip install jupyterlab, or 'hpcnn[notebook]'"


def _on_a_node(site: Site, resources: Resources, here: Here, words: list[str], way: str, *, dry_run: bool) -> None:
    """Open a session that says the same words again, with ``--here``: the token is drawn on the node itself."""
    from hpcnn.jobs.interact import session

    program = [f"{here.bin}/hpcnn", "notebook", *words]
    open_session(session(site, resources, SoftwareSpec(), here, program, way), site, dry_run=dry_run)


def _serve(site: Site, software: SoftwareSpec, here: Here, *, gpu: bool, port: int | None, dry_run: bool) -> None:
    """Replace this process by the server, in the container if there is one."""
    import dataclasses
    import secrets

    from hpcnn.cli.served import this_machine, ways_in
    from hpcnn.jobs.interact import on_the_node
    from hpcnn.jupyter import server

    token = "TOKEN" if dry_run else secrets.token_urlsafe(24)
    shown_port = str(port or ("PORT" if dry_run else server.PORT))
    machine = this_machine(os.environ)
    message = "\n".join(
        [
            f"JupyterLab shows {visible(here.directory)}, on {machine.name}, {server.HOST} port {shown_port}. "
            "Ctrl-C ends it.",
            *ways_in(machine, site, server.HOST, shown_port, f"lab?token={token}", _LOCAL_PORT),
            *([f"Site {site.name}: {site.tunnel}"] if site.tunnel else []),
            "Whoever has this address runs programs as you: keep it to yourself.",
        ]
    )
    program = str(Path(server.__file__).resolve())
    if software.container is not None:  # the file needs nothing but JupyterLab, so any image with that will do
        software = dataclasses.replace(software, bind=(*software.bind, str(Path(program).parent)))
    words = on_the_node(site, software, here, ["python3" if software.container else sys.executable, program], gpu=gpu)
    if dry_run:
        click.echo(f"{shlex.join(words)}\n{message}")
        return
    request = {"token": token, "folder": here.directory, "port": port or 0, "message": message}
    _replace(words, {**os.environ, server.VARIABLE: json.dumps({**request, "missing": _missing(software)})})


def _replace(words: list[str], environment: Mapping[str, str]) -> None:
    os.execvpe(words[0], words, environment)
