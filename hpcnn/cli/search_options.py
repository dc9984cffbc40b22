"""What the commands of ``hpcnn search`` share: the search they name, the changes made to it, and where it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpcnn.cli.options import given_options, key_values, spec_options
from hpcnn.cli.study_options import RESOURCES, runs_option
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec

if TYPE_CHECKING:
    from hpcnn.search.spec import Search


def search_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--runs``, ``--set``, and the options of resources and software that are worth one of their own."""
    function = spec_options(SoftwareSpec)(function)
    function = spec_options(Resources, RESOURCES)(function)
    function = click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a key of the search, e.g. --set epochs=2, --set trials=50, --set model.d_rate=[0.2,0.4].",
    )(function)
    return runs_option(function)


def read_search(file: str, changes: tuple[str, ...], options: dict[str, Any]) -> Search:
    """Return the search FILE as ``--set`` and the options change it, the options last."""
    from hpcnn.search.read import find, read

    made = key_values("--set", changes)
    for section, cls in (("resources", Resources), ("software", SoftwareSpec)):
        made |= {f"{section}.{key}": value for key, value in given_options(cls, options).items()}
    return read(find(file), made)


def folder_of(search: Search, folder: str | None) -> Path:
    """Return the folder of a search."""
    from hpcnn.rundir.layout import runs_folder

    return ((Path(folder) if folder else runs_folder()) / search.name).absolute()


def begun(target: str, folder: str | None) -> tuple[Search, Path]:
    """Return the search that TARGET names, as it was begun, and its folder: the folder itself, or a search file.

    Raises UsageError where there is none.
    """
    from hpcnn.search.storage import load

    place = Path(target).absolute() if Path(target).is_dir() else folder_of(read_search(target, (), {}), folder)
    return load(place), place
