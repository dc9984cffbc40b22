"""``hpcnn tensorboard``: serve the TensorBoard logs of runs, and print the ssh tunnel to the server."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcnn.util.errors import UsageError
from hpcnn.util.text import visible

if TYPE_CHECKING:
    from hpcnn.sites.profile import Site
    from hpcnn.tensorboard.tunnel import Machine


@click.command(epilog="Example:  hpcnn tensorboard runs/scinet-cnn1/20261121-101500-3fa9")
@click.argument("run")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Port to listen on.  [default: a free one]")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 if you cannot ssh to the node.",
)
@click.option("--site", default=None, help="Site profile, for the tunnel.  [default: the run's own]")
@click.option("--dry-run", is_flag=True, help="Print the server's command and the tunnel, and start nothing.")
def command(run: str, port: int | None, host: str, site: str | None, dry_run: bool) -> None:
    """Show the TensorBoard logs of RUN: a run directory, a folder of runs (a study), or a job id.

    Prints the ssh command for your own computer and the address to open, and serves until Ctrl-C. TensorBoard asks for
    no password: the address has a secret part instead, without which the server answers nothing.
    """
    import secrets

    from hpcnn.cli.served import this_machine
    from hpcnn.sites.load import known_sites, load_site
    from hpcnn.tensorboard.logs import log_folder, site_of
    from hpcnn.tensorboard.server import PORT

    folder = log_folder(run)
    named = site or site_of(run)
    profile = load_site(named if site or named in known_sites() else "local")
    secret = "SECRET" if dry_run else secrets.token_urlsafe(24)
    arguments = _arguments(folder, host, port, secret)
    shown_port = str(port or ("PORT" if dry_run else PORT))
    message = _message(folder, this_machine(os.environ), profile, host, shown_port, secret)
    if dry_run:
        click.echo(f"tensorboard {shlex.join(arguments)}\n{message}")
        return
    _serve(arguments, message)


def _arguments(folder: Path, host: str, port: int | None, secret: str) -> list[str]:
    """Return TensorBoard's arguments; port 0 is any free one.

    They turn off its faster reader, which is a second server on an unprotected port.
    """
    return [
        *("--logdir", str(folder), "--host", host, "--port", str(port or 0)),
        *("--path_prefix", f"/{secret}", "--load_fast", "false"),
    ]


def _message(folder: Path, machine: Machine, site: Site, host: str, port: str, secret: str) -> str:
    """Return the message with the tunnel, the address to open, and who else could reach it."""
    from hpcnn.cli.served import ways_in
    from hpcnn.tensorboard.tunnel import LOCAL_PORT, is_loopback

    lines = [f"TensorBoard shows {visible(str(folder))}, on {machine.name}, {host} port {port}. Ctrl-C ends it."]
    lines += ways_in(machine, site, host, port, f"{secret}/", LOCAL_PORT)
    if machine.in_job and is_loopback(host):
        lines.append(f"If you cannot ssh to {machine.name}, start it with --host 0.0.0.0.")
    if site.tunnel:
        lines.append(f"Site {site.name}: {site.tunnel}")
    reach = f"all users of {machine.name}" if is_loopback(host) else "whoever reaches this address"
    lines.append(f"TensorBoard asks for no password, and its port is open to {reach}: keep the address to yourself.")
    return "\n".join(lines)


def _serve(arguments: list[str], message: str) -> None:
    """Replace this process by the server."""
    import importlib.util

    from hpcnn.tensorboard import server

    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError("TensorBoard is not in this environment: pip install tensorboard, or 'hpcnn[cpu]'")
    environment = {
        **os.environ,
        server.VARIABLE: json.dumps({"arguments": arguments, "message": message}),
        "CUDA_VISIBLE_DEVICES": "-1",  # TensorFlow, which it imports, would take a GPU's memory from the training
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONSAFEPATH": "1",  # a tensorboard.py in this folder is not TensorBoard
    }
    os.execve(sys.executable, [sys.executable, "-m", "hpcnn.tensorboard.server"], environment)
