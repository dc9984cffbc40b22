"""Find the folder of the user's own settings. Must not import any other room."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_VARIABLE = "HPCNN_CONFIG"


def config_folder() -> Path:
    """Return $HPCNN_CONFIG, or the user's configuration folder for hpcnn.

    The folder is that of platformdirs on Linux, which would take longer to load than all else of a command's start.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CONFIG_HOME", "").strip() or Path.home() / ".config") / "hpcnn"
