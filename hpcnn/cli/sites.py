"""``hpcnn sites``: list, show and check the profiles of machines, and write a first one for a new cluster."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import click

from hpcnn.cli.grouped import WholeSentences
from hpcnn.cli.output import format_option
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.table import Column, emit


@click.group(cls=WholeSentences, epilog="Example:  hpcnn sites show bridges2 --origin")
def command() -> None:
    """List, show, check and start site profiles: TOML files that say what differs between machines."""


@command.command("list", epilog="Example:  hpcnn sites list --format json")
@format_option
def list_command(fmt: str) -> None:
    """List all profiles, packaged and your own."""
    from hpcnn.sites.load import known_sites, load_site

    sites = [load_site(name) for name in known_sites()]
    keys = ("name", "scheduler", "launcher", "gpu_request", "status", "description")
    rows = [{key: getattr(site, key) for key in keys} for site in sites]
    wide = ("launcher", "gpu_request", "status")
    emit(rows, fmt, [Column(key, key.replace("_", " "), wide=key in wide) for key in keys])


@command.command("show", epilog="Example:  hpcnn sites show narval --origin")
@click.argument("name")
@click.option("--origin", is_flag=True, help="Show where each value comes from: the default, or which file.")
@format_option
def show_command(name: str, origin: bool, fmt: str) -> None:
    """Show every key of the profile NAME, and the page and date that it was taken from.

    Precedence, weakest first: hpcnn's default, the packaged profile, your own file of that name, the command line.
    """
    from hpcnn.sites.load import load_with_origin

    site, origins = load_with_origin(name)
    rows = [
        {
            "key": field.name,
            "value": _plain(getattr(site, field.name)),
            "source": site.sources.get(field.name) or _unsourced(field.name, origins[field.name]),
            "origin": origins[field.name],
        }
        for field in dataclasses.fields(site)
        if field.name != "sources" and (fmt != "table" or origins[field.name] != "default" or origin)
    ]
    columns = [Column("key", "key"), Column("value", "value", str), Column("source", "source")]
    emit(rows, fmt, [*columns, Column("origin", "origin")] if origin else columns)


@command.command("check", epilog="Example:  hpcnn sites check my-cluster.toml")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check_command(file: Path) -> None:
    """Check a profile: every unknown key and value is named, with a suggestion (exit status 2)."""
    from hpcnn.sites.load import mistakes, read_profile

    if found := mistakes(file):
        raise UsageError("\n".join(found))
    site = read_profile(file)
    click.echo(f"{file}: ok ({site.name}, {site.scheduler})")


@command.command("init", epilog="Example:  hpcnn sites init --dry-run")
@click.option("--name", default=None, help="Name of the site.  [default: the cluster's own]")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File to write.  [default: NAME.toml in the folder of your own profiles]",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--dry-run", is_flag=True, help="Print the profile and write nothing.")
def init_command(name: str | None, output: Path | None, force: bool, dry_run: bool) -> None:
    """Write a profile of the cluster that this login node belongs to, from what it says of itself.

    Asks sinfo, scontrol, srun and sacctmgr, and this node for modules, containers and folders. Each key names the
    command it came from; where a person must decide, its line says so.
    """
    from hpcnn.rundir.layout import utc_now
    from hpcnn.sites import ask
    from hpcnn.sites.load import check, user_folder
    from hpcnn.sites.propose import profile
    from hpcnn.util.files import write_text
    from hpcnn.util.toml import loads
    from hpcnn.version import __version__

    cluster = ask.cluster()
    name = _site_name(name, cluster.config.get("ClusterName", ""))
    text = profile(cluster, ask.login(os.environ), day=utc_now()[:10], version=__version__)
    check({"name": name, **loads(text)}, f"{name}: ")
    if dry_run:
        click.echo(text, nl=False)
        return
    file = output or user_folder() / f"{name}.toml"
    if file.exists() and not force:
        raise UsageError(f"--output: {file} is there already; --force writes over it")
    write_text(file, text)
    click.echo(f"{file}: written; look at the lines with `decide:`, then")
    click.echo(f"  hpcnn sites check {file}" if output else f"  hpcnn submit --site {name} --test-only")


def _site_name(given: str | None, cluster: str) -> str:
    """Return the name of a new site. Raises UsageError for an invalid file name, and for that of a packaged profile."""
    from hpcnn.util.share import share_dir

    name = given or cluster.lower()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise bad_value("--name", name, "letters, digits, dots, dashes and underscores")
    if not given and (share_dir("templates") / "sites" / f"{name}.toml").exists():
        raise UsageError(
            f"--name: hpcnn has a profile {name} already (hpcnn sites show {name}), and yours would change it; give "
            f"another name, or --name {name} to change it"
        )
    return name


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _unsourced(key: str, origin: str) -> str | None:
    """Return "unverified" for a packaged value without a source, else None: a user's own value needs no source."""
    if origin == "default" or key in ("name", "description", "status", "checked", "scheduler", "template", "notes"):
        return None
    from hpcnn.util.share import share_dir

    return "unverified" if Path(origin).parent == share_dir("templates") / "sites" else None
