"""Read and write TOML on every supported Python: by the standard library, or its back-port on 3.10."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hpcnn.util.errors import UsageError
from hpcnn.util.types import Json

if sys.version_info >= (3, 11):
    from tomllib import TOMLDecodeError, loads
else:  # pragma: no cover - the other branch of the same reader
    from tomli import TOMLDecodeError, loads

__all__ = ["TOMLDecodeError", "loads", "read", "toml_text"]


def read(path: Path) -> dict[str, Json]:
    """Return the tables of a TOML file. Raises UsageError naming the file, and the line of a syntax error."""
    try:
        return loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is not valid TOML: {error}") from error


def toml_text(value: Json) -> str:
    """Return a value in TOML, as the command line reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_text(key)} = {toml_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):  # JSON's escapes are TOML's too, but for DEL (TOML 1.0, "String")
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)
