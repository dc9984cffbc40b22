"""Read and write TOML on every supported Python: by the standard library, or its back-port on 3.10."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hpcnn.util.errors import UsageError
from hpcnn.util.files import check_depth, fits_64_bits
from hpcnn.util.types import Json

if sys.version_info >= (3, 11):
    from tomllib import TOMLDecodeError
    from tomllib import loads as _loads
else:  # pragma: no cover - the other branch of the same reader
    from tomli import TOMLDecodeError
    from tomli import loads as _loads

__all__ = ["TOMLDecodeError", "loads", "read", "toml_text"]


def loads(text: str) -> dict[str, Json]:
    """Return the tables of a TOML text.

    Raises TOMLDecodeError too for integers beyond 64 bits, which TOML 1.0 ("Integer") does not promise, and for tables
    and lists nested beyond all use.
    """
    try:
        table = _loads(text)
        check_depth(table)
        _check_integers(table)
    except (ValueError, RecursionError) as error:
        if isinstance(error, TOMLDecodeError):
            raise
        why = "too deeply nested" if isinstance(error, RecursionError) else str(error).partition(" for integer")[0]
        raise TOMLDecodeError(why) from error
    return table


def _check_integers(value: Json) -> None:
    if isinstance(value, int) and not fits_64_bits(value):
        raise ValueError("an integer beyond 64 bits")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_integers(item)


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
