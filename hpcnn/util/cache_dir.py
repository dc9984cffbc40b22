"""Find the cache folder, for files that hpcnn can make again: container images and the tables of reports."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_VARIABLE = "HPCNN_CACHE"


def cache_folder() -> Path:
    """Return $HPCNN_CACHE, or the platform's cache folder for hpcnn."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("hpcnn")
