"""Find the cache folder, for files that hpcnn can make again: container images and the tables of reports.

What lies in it is run or believed, so it is taken only from folders and files that nobody else can write.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hpcnn.util.errors import HpcnnError
from hpcnn.util.files import WriteError, file_sha256, reason_of, write_text
from hpcnn.util.user import expanded

FOLDER_VARIABLE = "HPCNN_CACHE"


def cache_folder() -> Path:
    """Return $HPCNN_CACHE, or the platform's cache folder for hpcnn."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return expanded(named).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("hpcnn")


def make_private(folder: Path) -> None:
    """Make a folder of the cache, and those above it: whatever the umask says, nobody else writes there.

    Raises WriteError, and HpcnnError for a folder that is there and that others can write.
    """
    try:
        for place in [*reversed(folder.parents), folder]:
            if not place.is_dir():
                place.mkdir(mode=0o755, exist_ok=True)
    except OSError as error:
        raise WriteError(folder, error) from error
    check_private(folder)


def check_private(folder: Path) -> None:
    """Raise HpcnnError for a folder of the cache that somebody else can write; one that is not there is nobody's."""
    own = cache_folder()
    for place in [folder, *folder.parents]:
        if place.exists():
            _check(place, stat.S_IWOTH | (stat.S_IWGRP if place == own or own in place.parents else 0))


def check_file(file: Path) -> None:
    """Raise HpcnnError for a file of the cache that somebody else could have written, or that is not what was written.

    One whose digest is not there was written by an earlier hpcnn: it counts by its owner, and gets its digest now.
    """
    check_private(file.parent)
    _check(file, stat.S_IWOTH | stat.S_IWGRP)
    noted = digest_file(file)
    if not noted.exists():
        note_digest(file)
        return
    _check(noted, stat.S_IWOTH | stat.S_IWGRP)
    if noted.read_text(encoding="utf-8").split()[:1] != [file_sha256(file)]:
        raise HpcnnError(f"{file}: is damaged, or was changed since it was built: remove it, and build it again")


def note_digest(file: Path) -> None:
    """Write the digest of a file beside it, as sha256sum(1) reads it."""
    write_text(digest_file(file), f"{file_sha256(file)}  {file.name}\n")


def digest_file(file: Path) -> Path:
    """Return where the digest of a file is written."""
    return file.with_name(f"{file.name}.sha256")


def _check(path: Path, writable: int) -> None:
    """Raise HpcnnError for a path of another user (root apart), or with these bits of its mode, unless it is sticky."""
    try:
        facts = path.stat()
    except OSError as error:
        raise HpcnnError(f"{path}: cannot be read: {reason_of(error)}") from error
    in_cache = bool(writable & stat.S_IWGRP)
    if in_cache and facts.st_uid not in (0, os.getuid()):
        raise HpcnnError(
            f"{path}: belongs to another user: what others write is not run. HPCNN_CACHE names another folder"
        )
    if facts.st_mode & writable and (in_cache or not facts.st_mode & stat.S_ISVTX):
        raise HpcnnError(f"{path}: other users can write it, so nothing in it is trusted: chmod go-w {path}")
