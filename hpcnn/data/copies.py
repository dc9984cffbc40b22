"""Find the copy of a file or folder on this node's own disk, where the job has made one that is whole and current.

A reader asks for the copy of what it opens, and names the original in all that it says. Where a copy was planned and
cannot be used, the original is read, and the first rank of the node says so. Must not import what reads data.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hpcnn.rundir.staging import (
    SBCAST,
    VARIABLE,
    Original,
    Staged,
    Staging,
    attempt_here,
    read_staging,
    stamp_of_files,
    stamp_of_folders,
)

# Why the original is read, by its path: what was said once is not said again.
_refused: dict[str, str] = {}


@dataclass(frozen=True)
class OnNode:
    """What one node reads in the place of copies. originals: those that it reads itself, with the reason."""

    host: str
    originals: tuple[tuple[str, str], ...]


def copy_of(source: Path) -> Path:
    """Return the copy of a file or folder on this node's disk; without a good one the path as it is."""
    one = _by_path(staged_here()).get(str(source.absolute()))
    if one is None:
        return source
    reason = _refusal(one)
    if reason is None:
        return Path(one.copy)
    refuse(source, reason)
    return source


def refuse(source: Path, reason: str) -> None:
    """Note, and say aloud, why an original is read although a copy of it was planned."""
    path = str(source.absolute())
    if path not in _refused and os.environ.get("SLURM_LOCALID", "0") == "0":
        print(f"hpcnn: {socket.gethostname()}: reading {path} itself: {reason}", file=sys.stderr, flush=True)
    _refused[path] = reason


def staged_here() -> Staging | None:
    """Return what this job has copied to its nodes; None where it copies nothing."""
    file = os.environ.get(VARIABLE)
    return _read(Path(file), attempt_here()) if file else None


@cache
def _read(file: Path, attempt: str) -> Staging | None:
    return read_staging(file)


@cache
def _by_path(staging: Staging | None) -> dict[str, Staged]:
    return {one.path: one for one in staging.staged} if staging else {}


def of_this_rank() -> OnNode:
    """Return what this rank reads itself, so far, of what was to be copied."""
    return OnNode(socket.gethostname(), tuple(sorted(_refused.items())))


def of_node(ranks: Iterable[OnNode]) -> OnNode:
    """Return what the ranks of a node read themselves."""
    together: dict[str, str] = {}
    host = ""
    for rank in ranks:
        host = rank.host
        together |= dict(rank.originals)
    return OnNode(host, tuple(sorted(together.items())))


def _refusal(one: Staged) -> str | None:
    """Return why a copy cannot be used; None for one that is whole, of this user, and like the original."""
    try:
        now = Path(one.path).stat()
        if stamp_of_folders(Original(Path(one.path), one.depth)) != one.folders:
            return "it has changed since it was copied"
    except OSError as error:
        return f"it cannot be looked at: {error.strerror}"
    copy: os.stat_result | None = None
    with contextlib.suppress(OSError):
        copy = os.lstat(one.copy)
    if copy is None:
        return "there is no whole copy of it on this node's disk"
    if copy.st_uid != os.getuid():
        return f"{one.copy} belongs to another user"
    if one.folders:
        return None if Path(one.copy).is_dir() else f"{one.copy} is no folder"
    if stamp_of_files([("", now.st_size, now.st_mtime_ns)]) != one.stamp:
        return "it has changed since it was copied"
    # sbcast keeps the time in whole seconds, and sets it when all is written
    fine = 1_000_000_000 if one.how == SBCAST else 1
    if (copy.st_size, copy.st_mtime_ns // fine) != (one.bytes, now.st_mtime_ns // fine):
        return "its copy on this node's disk is not whole"
    return None
