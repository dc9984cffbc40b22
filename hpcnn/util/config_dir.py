"""Find the folder of the user's own settings. Must not import any other room."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_VARIABLE = "HPCNN_CONFIG"


def is_there(path: Path) -> bool:
    """Return whether a file or folder of settings is there.

    In a home that is another user's, and closed (``su`` and ``sudo`` may keep $HOME), nothing is this user's. Raises
    PermissionError for a folder of the user's own that is closed.
    """
    try:
        return path.exists()
    except PermissionError:
        if _belongs_to_another(path.parent):
            return False
        raise


def _belongs_to_another(folder: Path) -> bool:
    """Return whether the innermost folder of which that can be said is another user's."""
    for place in (folder, *folder.parents):
        try:
            return place.stat().st_uid != os.getuid()
        except OSError:
            continue
    return False


def config_folder() -> Path:
    """Return $HPCNN_CONFIG, or the user's configuration folder for hpcnn.

    The folder is that of platformdirs on Linux, which would take longer to load than all else of a command's start.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CONFIG_HOME", "").strip() or Path.home() / ".config") / "hpcnn"
