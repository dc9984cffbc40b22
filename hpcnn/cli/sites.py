"""``hpcnn sites``: the profiles of machines, what each says, and where it has it from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from hpcnn.cli.output import Column, emit, format_option


@click.group(epilog="Example:  hpcnn sites show bridges2 --origin")
def command() -> None:
    """List, show and check site profiles: TOML files that say what differs between machines."""


@command.command("list", epilog="Example:  hpcnn sites list --format json")
@format_option
def list_command(fmt: str) -> None:
    """List all profiles, packaged and your own."""
    from hpcnn.sites.load import known_sites, load_site

    sites = [load_site(name) for name in known_sites()]
    keys = ("name", "scheduler", "launcher", "gpu_request", "status", "description")
    rows = [{key: getattr(site, key) for key in keys} for site in sites]
    emit(rows, fmt, [Column(key, key.replace("_", " ")) for key in keys])


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
    """Check a profile: unknown keys and values are errors with a suggestion (exit status 2)."""
    from hpcnn.sites.load import read_profile

    site = read_profile(file)
    click.echo(f"{file}: ok ({site.name}, {site.scheduler})")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _unsourced(key: str, origin: str) -> str | None:
    """Return what stands for a source: a packaged value without one is unverified; your own needs none."""
    if origin == "default" or key in ("name", "description", "status", "checked", "scheduler", "template", "notes"):
        return None
    from hpcnn.resources import share_dir

    return "unverified" if Path(origin).parent == share_dir("templates") / "sites" else None
