"""A folder that others may enter, and another user who reads there: nothing is closed to root."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NOBODY = 65534


@contextlib.contextmanager
def shared_folder() -> Iterator[Path]:
    """Change to a new folder that everybody may enter; pytest's own are closed to others."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="hpcnn-shared-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


@contextlib.contextmanager
def as_another_user() -> Iterator[None]:
    """Be nobody, where root runs the tests. Otherwise a file of mode 0 is closed to its owner, too."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
