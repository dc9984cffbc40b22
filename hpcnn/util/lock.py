"""Lock a folder for one command at a time; the lock ends with the process that holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from hpcnn.util.errors import HpcnnError, UsageError
from hpcnn.util.files import WriteError, no_follow, open_regular, reason_of

_NAME = ".lock"
_SECONDS_TO_TRY = 1.0  # `held` of another command may have the file for a moment
# Errors of file systems without locks (Lustre mounted without `flock`), where the lock excludes no other process.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def lock(folder: Path, seconds: float = _SECONDS_TO_TRY) -> Iterator[int]:
    """Hold the lock of ``folder``, which is made if it is missing.

    seconds: how long to wait for it. Yields the file descriptor: a process that inherits it holds the lock too.

    Raises HpcnnError, naming host and process of the holder, for a lock that is held, and UsageError for a folder that
    cannot be made or written to.

    The kernel releases the lock of a process however it ended, so a crash leaves no lock behind. flock(2): on NFS since
    Linux 2.6.12, there between machines too.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = open(lock_file(folder), "a+", encoding="utf-8", opener=no_follow)  # noqa: SIM115  # closed below
    except OSError as error:
        raise UsageError(f"--runs: {folder}: cannot be written to: {reason_of(error)}") from error
    with opened as file:
        if not _acquired(file.fileno(), fcntl.LOCK_EX, seconds):
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise HpcnnError(f"{folder}: {holder} is at work on this study; wait until it has ended")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield file.fileno()


@contextlib.contextmanager
def alone(file: Path, seconds: float = _SECONDS_TO_TRY) -> Iterator[None]:
    """Hold a lock file while the block runs; it is gone afterwards.

    Raises HpcnnError where another process holds it, and WriteError where it cannot be made.
    """
    while True:
        try:
            held = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise WriteError(file, error) from error
        try:
            if not _acquired(held, fcntl.LOCK_EX, seconds):
                raise HpcnnError(f"{file}: another command is at work on this; wait until it has ended")
            if not _is_at(held, file):
                continue  # that of a process that has just ended and removed it
            try:
                yield
            finally:
                file.unlink(missing_ok=True)
            return
        finally:
            os.close(held)


def _is_at(opened: int, file: Path) -> bool:
    """Return whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(opened), file.lstat())
    except FileNotFoundError:
        return False


def lock_file(folder: Path) -> Path:
    """Return the file of the lock of ``folder``."""
    return folder / _NAME


def held(folder: Path) -> bool:
    """Return whether a process holds the lock of ``folder`` at this moment, as far as this user can see."""
    try:
        with open_regular(lock_file(folder)) as file:
            return not _acquired(file.fileno(), fcntl.LOCK_SH, 0.0)
    except OSError:
        return False


def _acquired(file: int, kind: int, seconds: float) -> bool:
    """Try for some seconds to lock a file; return whether it is locked, or the file system has no locks."""
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return True
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
