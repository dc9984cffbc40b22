"""The user and the user's home, also where the system knows neither (a container, a uid without an entry).

Must not import any other room.
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path


def user_name() -> str:
    """Return the name of the user, or the number of one who has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def expanded(path: str) -> Path:
    """Return a path with ``~`` replaced by the user's home; where there is none, the path as it is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
