"""What the commands of ``hpcnn study`` share: the study they name, the changes made to it, and where its runs are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpcnn.cli.options import given_options, key_values, spec_options, toml_value
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec

if TYPE_CHECKING:
    from hpcnn.specs.study import StudySpec

# What a user changes from one submission to the next; what the points differ by is changed by --set.
RESOURCES = ("time", "account", "partition", "qos", "mem", "constraint", "gpu_type", "requeue", "sbatch_options")

# Keys of a study whose values may hold commas; a list of such values is written in brackets.
_WITH_COMMAS = ("name", "description", "lr_schedule", "constraint", "container")

runs_option = click.option(
    "--runs", "folder", default=None, type=click.Path(file_okay=False), help="Folder of all runs.  [default: runs]"
)


def study_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--runs``, ``--set``, and the options of resources and software that are worth one of their own."""
    function = spec_options(SoftwareSpec)(function)
    function = spec_options(Resources, RESOURCES)(function)
    function = click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a key of the study; several values make an axis, e.g. --set model.d_rate=0.2,0.4.",
    )(function)
    return runs_option(function)


def read_study(file: str, changes: tuple[str, ...], options: dict[str, Any]) -> StudySpec:
    """Return the study FILE as ``--set`` and the options change it, the options last."""
    from hpcnn.study.read import find, read

    made = {key: _listed(key, value) for key, value in key_values("--set", changes).items()}
    for section, cls in (("resources", Resources), ("software", SoftwareSpec)):
        made |= {f"{section}.{key}": value for key, value in given_options(cls, options).items()}
    return read(find(file), made)


def _listed(key: str, value: Any) -> Any:
    """Return the list that a text with commas is, ``0.2,0.4``; but for keys whose own values have commas."""
    if not isinstance(value, str) or "," not in value or key.rpartition(".")[2] in _WITH_COMMAS:
        return value
    return [toml_value(item.strip()) for item in value.split(",")]


def folder_of(study: StudySpec, folder: str | None) -> Path:
    """Return the folder of a study's runs."""
    from hpcnn.rundir.layout import runs_folder

    return ((Path(folder) if folder else runs_folder()) / study.name).absolute()
