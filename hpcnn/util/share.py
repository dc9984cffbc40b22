"""Find the files that are shipped with hpcnn: templates, container, study and search definitions.

They are at the top of a checkout, and inside ``hpcnn/_share`` of an installed wheel. No other module may depend on
which of the two it is.
"""

from __future__ import annotations

from pathlib import Path

from hpcnn import version

PACKAGE = Path(version.__file__).resolve().parent


def share_dir(name: str) -> Path:
    """Return the folder ``name`` (``templates``, ``containers``, ``scaling_studies`` or ``searches``).

    Raises FileNotFoundError for a broken installation, which lacks it.
    """
    for folder in (PACKAGE / "_share" / name, PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"this installation of hpcnn lacks its {name!r} folder; reinstall it")


def constraints_file() -> Path:
    """Return the file of the versions that hpcnn is tested with. Raises FileNotFoundError as ``share_dir`` does."""
    for file in (PACKAGE / "_share" / "containers" / "constraints.txt", PACKAGE.parent / "constraints.txt"):
        if file.is_file():
            return file
    raise FileNotFoundError("this installation of hpcnn lacks its constraints.txt; reinstall it")
