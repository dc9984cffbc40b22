"""Find the folder of the user's own settings. Must not import any other room."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_VARIABLE = "HPCNN_CONFIG"


def config_folder() -> Path:
    """Return $HPCNN_CONFIG, or the platform's configuration folder for hpcnn."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path("hpcnn")
