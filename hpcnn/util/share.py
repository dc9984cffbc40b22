"""Find the files that are shipped with hpcnn: templates, container, study and search definitions.

They are at the top of a checkout, and inside ``hpcnn/_share`` of an installed wheel. No other module may depend on
which of the two it is.
"""

from __future__ import annotations

from pathlib import Path

from hpcnn import version
from hpcnn.util.errors import not_there, unknown_value

PACKAGE = Path(version.__file__).resolve().parent


def share_dir(name: str) -> Path:
    """Return the folder ``name`` (``templates``, ``containers``, ``scaling_studies`` or ``searches``).

    Raises FileNotFoundError for a broken installation, which lacks it.
    """
    for folder in (PACKAGE / "_share" / name, PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"this installation of hpcnn lacks its {name!r} folder; reinstall it")


def packaged(name: str) -> dict[str, Path]:
    """Return the TOML files of the folder ``name`` by what users call them, in alphabetical order."""
    return {file.stem: file for file in sorted(share_dir(name).glob("*.toml"))}


def find_packaged(what: str, folder: str, name: str, *, see: str = "") -> Path:
    """Return a user's file: the path as given, or the packaged one of that name.

    what: ``study`` or ``search``. folder: as of ``share_dir``. see: the command that lists the packaged ones. Raises
    UsageError for a file that is not there, and for an unknown name.
    """
    path = Path(name)
    if path.is_file():
        return path
    known = packaged(folder)
    if path.suffix in ("", ".toml") and path.stem in known and path.parent.name in ("", folder):
        return known[path.stem]
    if path.suffix == ".toml" or "/" in name:
        listed = f" (`{see}`)" if see else f": {', '.join(known)}"
        raise not_there(what, name, f"a file, or the name of a packaged {what}{listed}")
    raise unknown_value(what, name, known, forms=["FILE.toml"], see=see)


def constraints_file() -> Path:
    """Return the file of the versions that hpcnn is tested with. Raises FileNotFoundError as ``share_dir`` does."""
    for file in (PACKAGE / "_share" / "containers" / "constraints.txt", PACKAGE.parent / "constraints.txt"):
        if file.is_file():
            return file
    raise FileNotFoundError("this installation of hpcnn lacks its constraints.txt; reinstall it")
