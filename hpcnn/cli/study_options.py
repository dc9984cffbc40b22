"""The common part of the commands of ``hpcnn study``: its file, the changes by ``--set``, its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hpcnn.cli.defaults import is_default
from hpcnn.cli.options import Command, given_options, key_values, spec_options, toml_value
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from pathlib import Path

    from hpcnn.specs.study import StudySpec

# Keys of a study whose values may hold commas; a list of such values is written in brackets.
_WITH_COMMAS = ("name", "description", "lr_schedule", "constraint", "container", "setup")

runs_option = click.option(
    "--runs", "folder", default=None, type=click.Path(file_okay=False), help="Folder of all runs.  [default: runs]"
)


def study_options(function: Command) -> Command:
    """Add ``--runs``, ``--set``, and the options of resources and software that ``hpcnn submit`` has."""
    function = spec_options(SoftwareSpec)(function)
    function = spec_options(Resources)(function)
    function = click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a key of the study; several values make an axis, e.g. --set model.d_rate=0.2,0.4.",
    )(function)
    return runs_option(function)


def read_study(file: str, changes: tuple[str, ...], options: dict[str, object]) -> StudySpec:
    """Read the study FILE, changed by ``--set`` and then by the options."""
    from hpcnn.study.read import find, read

    assembled = {key: _listed(key, value) for key, value in key_values("--set", changes).items()}
    defaults: dict[str, Json] = {}
    for section, cls in (("resources", Resources), ("software", SoftwareSpec)):
        for key, value in given_options(cls, options).items():
            (defaults if is_default(key) else assembled)[f"{section}.{key}"] = value
    return read(find(file), assembled, defaults)


def _listed(key: str, value: Json) -> Json:
    """Split a text with commas, ``0.2,0.4``, into a list, unless the values of this key may hold commas."""
    if not isinstance(value, str) or "," not in value or key.rpartition(".")[2] in _WITH_COMMAS:
        return value
    return [toml_value(item.strip()) for item in value.split(",")]


def folder_of(study: StudySpec, folder: str | None) -> Path:
    """Return the folder of a study's runs."""
    from pathlib import Path

    from hpcnn.rundir.layout import runs_folder

    return ((Path(folder) if folder else runs_folder()) / study.name).absolute()
