"""``hpcnn study list``: the studies that come along."""

from __future__ import annotations

import click

from hpcnn.cli.output import format_option
from hpcnn.util.table import Column, emit


@click.command("list", epilog="Example:  hpcnn study list")
@format_option
def command(fmt: str) -> None:
    """List the packaged studies: the kind of each, its number of runs, and what it asks."""
    from hpcnn.study.expand import expand
    from hpcnn.study.read import read
    from hpcnn.util.share import packaged

    studies = [read(file) for file in packaged("scaling_studies").values()]
    rows = [
        {"name": one.name, "kind": one.kind, "runs": len(expand(one, "local")), "description": one.description}
        for one in studies
    ]
    columns = [
        Column("name", "study"),
        Column("kind", "kind"),
        Column("runs", "runs", right=True),
        Column("description", "description"),
    ]
    emit(rows, fmt, columns)
