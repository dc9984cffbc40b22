"""Give the user's defaults (``specs/defaults.py``) to the options of commands, below what the command line says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from hpcnn.util.types import Json

if TYPE_CHECKING:
    from hpcnn.specs.defaults import Default

# The commands that take them, and those of groups.
_COMMANDS = {
    "submit": (),
    "interact": (),
    "notebook": (),
    "tune": (),
    "study": ("run", "submit"),
    "search": ("run", "submit"),
    "bench": ("allreduce", "machine"),
}


def give(context: click.Context, name: str) -> None:
    """Set the defaults of the command that is called next, and the runs folder, where the user has files of them."""
    from pathlib import Path

    from hpcnn.specs.defaults import PROJECT_FILE, files, is_foreign, read_defaults

    if name == "record":
        return  # a job closes its record whatever its user has written since
    project = Path(PROJECT_FILE)
    if project.is_file() and is_foreign(project):
        click.echo(f"{project.absolute()}: belongs to another user, and is not read", err=True)
    if not files():
        return
    found = read_defaults()
    if "runs" in found and name != "config":
        os.environ.setdefault("HPCNN_RUNS", str(found["runs"].value))
    if name in _COMMANDS:
        values = _as_typed(found)
        below = _COMMANDS[name]
        context.default_map = {name: dict.fromkeys(below, values) if below else values}


def is_default(parameter: str) -> bool:
    """Return whether the value of a parameter of the current command is one of the user's defaults."""
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(parameter) is ParameterSource.DEFAULT_MAP


def _as_typed(found: Mapping[str, Default]) -> dict[str, Json]:
    """Return the values as click takes them from a command line: a table is a list of KEY=VALUE."""
    from hpcnn.specs.defaults import WEBHOOK
    from hpcnn.util.toml import toml_text

    def typed(value: Json) -> Json:
        if isinstance(value, dict):
            return [f"{key}={item if isinstance(item, str) else toml_text(item)}" for key, item in value.items()]
        return list(value) if isinstance(value, tuple) else value

    return {key: typed(default.value) for key, default in found.items() if key != WEBHOOK}
