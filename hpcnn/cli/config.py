"""``hpcnn config``: show the user's defaults, and where each comes from."""

from __future__ import annotations

import click

from hpcnn.cli.output import format_option
from hpcnn.util.table import Column, emit, note


@click.command(epilog="Example:  hpcnn config --format json")
@format_option
def command(fmt: str) -> None:
    """Show your defaults, and where each comes from: the environment, hpcnn.toml here, or your own config.toml.

    Both files have the options of `hpcnn submit` as keys (site = "narval", account = "def-prof", time = "1:00:00"), and
    `runs`, the folder of all runs. The command line overrides the environment, which overrides the
    project's hpcnn.toml, which overrides your config.toml.
    """
    from hpcnn.specs.defaults import PROJECT_FILE, USER_FILE, read_defaults, with_variables
    from hpcnn.util.config_dir import config_folder
    from hpcnn.util.text import shown_path

    found = with_variables(read_defaults())
    rows = [{"key": key, "value": default.value, "origin": default.origin} for key, default in sorted(found.items())]
    if not rows and fmt == "table":
        note(f"There are none: write {config_folder() / USER_FILE}, or {PROJECT_FILE} in a project's folder.")
        return
    columns = [
        Column("key", "key"),
        Column("value", "value", _text),
        Column("origin", "from", lambda origin: origin if origin.startswith("$") else shown_path(origin)),
    ]
    emit(rows, fmt, columns)


def _text(value: object) -> str:
    from hpcnn.util.toml import toml_text

    return value if isinstance(value, str) else toml_text(value)
