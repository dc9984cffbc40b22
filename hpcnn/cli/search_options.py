"""The common part of the commands of ``hpcnn search``: its file, the changes by ``--set``, its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcnn.cli.defaults import is_default
from hpcnn.cli.options import Command, given_options, key_values, spec_options
from hpcnn.cli.study_options import runs_option
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from hpcnn.search.spec import Search


def search_options(function: Command) -> Command:
    """Add ``--runs``, ``--set``, and the options of resources and software that ``hpcnn submit`` has."""
    function = spec_options(SoftwareSpec)(function)
    function = spec_options(Resources)(function)
    function = click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a key of the search, e.g. --set epochs=2, --set trials=50, --set model.d_rate=[0.2,0.4].",
    )(function)
    return runs_option(function)


def read_search(file: str, changes: tuple[str, ...], options: dict[str, object]) -> Search:
    """Read the search FILE, changed by ``--set`` and then by the options."""
    from hpcnn.search.read import find, read

    assembled = key_values("--set", changes)
    defaults: dict[str, Json] = {}
    for section, cls in (("resources", Resources), ("software", SoftwareSpec)):
        for key, value in given_options(cls, options).items():
            (defaults if is_default(key) else assembled)[f"{section}.{key}"] = value
    return read(find(file), assembled, defaults)


def folder_of(search: Search, folder: str | None) -> Path:
    """Return the folder of a search."""
    from hpcnn.rundir.layout import runs_folder

    return ((Path(folder) if folder else runs_folder()) / search.name).absolute()


def open_search(target: str, folder: str | None) -> tuple[Search, Path]:
    """Return the search that TARGET, a folder or a search file, names, as it was started, and its folder.

    Raises UsageError if it has not been started.
    """
    from hpcnn.search.storage import load

    place = Path(target).absolute() if Path(target).is_dir() else folder_of(read_search(target, (), {}), folder)
    return load(place), place
