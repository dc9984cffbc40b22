"""Finds the files that travel with hpcnn: templates, container definitions and study definitions.

They stand at the top of a checkout, where people look for them, and inside ``hpcnn/_share`` of an installed
wheel. Nothing else in hpcnn may know which of the two it is.
"""

from __future__ import annotations

from pathlib import Path

from hpcnn import version

PACKAGE = Path(version.__file__).resolve().parent


def share_dir(name: str) -> Path:
    """Return the folder ``name`` (``templates``, ``containers``, ``scaling_studies`` or ``searches``).

    Raises FileNotFoundError when neither a checkout nor a wheel holds it: a broken installation.
    """
    for folder in (PACKAGE / "_share" / name, PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"this installation of hpcnn lacks its {name!r} folder; reinstall it")


def constraints_file() -> Path:
    """Return ``constraints.txt``, the versions that hpcnn is tested with. Raises FileNotFoundError as above."""
    for file in (PACKAGE / "_share" / "containers" / "constraints.txt", PACKAGE.parent / "constraints.txt"):
        if file.is_file():
            return file
    raise FileNotFoundError("this installation of hpcnn lacks its constraints.txt; reinstall it")
