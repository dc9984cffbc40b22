"""Seal a record: a digest that nobody makes or checks but this user, with a key in the folder of the settings.

It says that a record is as this user's hpcnn wrote it. Somebody else's run has no such seal, whoever copied it.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from hpcnn.util.config_dir import config_folder
from hpcnn.util.files import TEMPORARY, as_json
from hpcnn.util.types import Json

SEAL = "seal"
_NAME, _BYTES = "run.key", 32


def sealed(record: Mapping[str, Json]) -> dict[str, Json]:
    """Return a record with its seal; with None for a user whose folder of settings cannot be written."""
    return {**record, SEAL: _seal(record, _key(make=True))}


def has_seal(record: Mapping[str, Json]) -> bool:
    """Return whether a record bears a seal, anybody's."""
    return bool(record.get(SEAL))


def is_own(record: Mapping[str, Json]) -> bool:
    """Return whether the seal of a record is this user's, and the record what was sealed."""
    own, given = _seal(record, _key(make=False)), record.get(SEAL)
    return own is not None and isinstance(given, str) and given.isascii() and hmac.compare_digest(own, given)


def _seal(record: Mapping[str, Json], key: bytes | None) -> str | None:
    if key is None:
        return None
    plain = json.loads(as_json({name: value for name, value in record.items() if name != SEAL}))
    return hmac.new(key, json.dumps(plain, sort_keys=True).encode(), "sha256").hexdigest()


def _key(*, make: bool) -> bytes | None:
    """Return this user's key, made at its first use; None where there is none, or not one of the user's alone."""
    file = config_folder() / _NAME
    with contextlib.suppress(OSError):
        if make and not file.exists():
            _make_key(file)
        facts = file.stat()
        if facts.st_uid == os.getuid() and not facts.st_mode & 0o077:
            key = file.read_bytes()
            return key if len(key) == _BYTES else None
    return None


def _make_key(file: Path) -> None:
    """Write a key, whole, unless another process is faster."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(secrets.token_bytes(_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(new, file)
    finally:
        new.unlink()
