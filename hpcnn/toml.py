"""TOML for every supported Python: the standard library's reader, or its back-port on 3.10."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hpcnn.errors import UsageError

if sys.version_info >= (3, 11):
    from tomllib import TOMLDecodeError, loads
else:  # pragma: no cover - the other branch of the same reader
    from tomli import TOMLDecodeError, loads

__all__ = ["TOMLDecodeError", "loads", "read"]


def read(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file. Raises UsageError naming the file, and the line of a syntax error."""
    try:
        return loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is not valid TOML: {error}") from error
