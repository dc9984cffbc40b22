"""Atomic writes, JSON lines, tolerant reads.

A reader never sees a part of a file, and a crash leaves the earlier file. JSON here is strict: numbers that are not
finite become null. Must not import any other room, nor anything heavy: login-node commands use it too.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from hpcnn.util.types import Json


class LineWriter:
    """Append whole JSON lines to one file; each reaches the operating system at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: Mapping[str, Json]) -> None:
        """Append one record as one line."""
        self._file.write(json.dumps(_finite(record), allow_nan=False, default=_plain) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; writing afterwards is an error."""
        self._file.close()


def write_text(path: Path, text: str, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write a file atomically: under a temporary name beside it, flushed to disk, then renamed into place.

    durable: whether to wait until the disk has it. A file that can be written again after a crash need not wait.
    """
    # surrogateescape: a path on Linux need not be UTF-8, and arrives in a job script byte for byte
    write_bytes(path, text.encode("utf-8", "surrogateescape"), mode=mode, durable=durable)


def write_bytes(path: Path, content: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write a binary file atomically (see ``write_text``)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.chmod(mode)
    temporary.replace(path)


def write_json(path: Path, record: Mapping[str, Json], *, durable: bool = True) -> None:
    """Write one JSON object atomically (see ``write_text``). Numbers that are not finite become null."""
    write_text(path, json.dumps(_finite(record), indent=2, allow_nan=False, default=_plain) + "\n", durable=durable)


def read_json(path: Path) -> dict[str, Json] | None:
    """Return the JSON object in ``path``, or None for a file that is missing or does not hold a whole object."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def read_lines(path: Path) -> Iterator[dict[str, Json]]:
    """Yield the records of a ``.jsonl`` file. Leave out lines that are not whole, such as one cut off by a crash."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record


def _plain(value: object) -> Json:
    """Convert NumPy scalars and paths to JSON values."""
    return value.item() if hasattr(value, "item") else str(value)


def _finite(value: Json) -> Json:
    """Replace nan and inf, which JSON lacks, by None at every depth."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
