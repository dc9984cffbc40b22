"""Atomic writes, JSON lines, tolerant reads.

A reader never sees a part of a file, and a crash leaves the earlier file. JSON here is strict: numbers that are not
finite become null. Must not import any other room, nor anything heavy: login-node commands use it too.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

from hpcnn.util.errors import HpcnnError
from hpcnn.util.text import BYTES_OR_ESCAPES
from hpcnn.util.types import Json

# No file of a record is larger: the epochs of a whole node in a thousand epochs have a hundredth of it.
_MOST_BYTES = 1 << 32
# What ``open_regular`` says of a pipe or a device, and of a file that nobody could hold in memory.
_NO_FILE = (errno.ENXIO, errno.EFBIG)

# The end of the name of a file that is being written.
TEMPORARY = ".tmp"


class WriteError(HpcnnError, OSError):
    """A file that could not be written, with the reason: a full disk, a quota, a folder that is gone or not one's own.

    An OSError too, so that whoever can do without the file passes over it as over any other.
    """

    def __init__(self, path: str | os.PathLike[str], error: OSError) -> None:
        super().__init__(f"{os.fspath(path)}: cannot be written: {reason_of(error)}")
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        self.errno, self.strerror = error.errno, reason_of(error) if full else error.strerror
        self.message = str(self.args[0])

    def __str__(self) -> str:
        return self.message


def reason_of(error: OSError) -> str:
    """Return in a few words what the operating system says: ``no space`` for a disk or a quota that is full."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):  # h5py says it in its text alone
        return f"no space ({os.strerror(error.errno or errno.ENOSPC).lower()})"
    return (error.strerror or str(error)).lower()


def no_follow(path: str, flags: int) -> int:
    """Open a file for ``open(..., opener=no_follow)``: never by a symbolic link, which another user may have put there.

    The umask, or the folder's default ACL, decides who else may read the file.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


class LineWriter:
    """Append whole JSON lines to one file; each reaches the operating system at once.

    Raises WriteError where they cannot be written; what was written of them is taken back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = open(path, "ab", buffering=0, opener=no_follow)  # noqa: SIM115  # closed by `close`
        except OSError as error:
            raise WriteError(path, error) from error

    def write(self, record: Mapping[str, Json]) -> None:
        """Append one record as one line."""
        self.write_all([record])

    def write_all(self, records: Iterable[Mapping[str, Json]]) -> None:
        """Append some records, one line each, all or none."""
        lines = (json.dumps(_finite(record), allow_nan=False, default=_plain) + "\n" for record in records)
        content = "".join(lines).encode()
        before = os.fstat(self._file.fileno()).st_size
        try:
            while content:  # a full disk takes a part, and says at the next call that it is full
                content = content[self._file.write(content) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(before)
            raise WriteError(self._path, error) from error

    def close(self) -> None:
        """Close the file; writing afterwards is an error."""
        try:
            self._file.close()
        except OSError as error:  # NFS may say only here that the disk is full
            raise WriteError(self._path, error) from error


@contextlib.contextmanager
def replacing(
    path: Path, *, executable: bool = False, durable: bool = True, folders: bool = False, suffix: str = ""
) -> Iterator[Path]:
    """Yield the path of a new, empty file beside ``path``, which takes its place when the block ends without an error.

    A reader sees the earlier file or the whole new one; after an error nothing of the new one is left. Its name is
    random and the file is made anew (O_EXCL): nobody can put a link in its place, and processes of several nodes do not
    meet. The umask decides who else may read it.

    durable: whether to wait until the disk has it. A file that can be written again after a crash need not wait.
    folders: make the folders above it if they are missing. suffix: the end of the new file's name, for a library that
    goes by it. Raises WriteError where the operating system refuses.
    """
    temporary = path.with_name(f".{os.urandom(8).hex()}{TEMPORARY}{suffix}")
    try:
        if folders:
            path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(temporary, flags, 0o777 if executable else 0o666))
    except OSError as error:
        raise WriteError(path, error) from error
    try:
        yield temporary
        if durable:
            _flush(temporary)
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and not isinstance(error, HpcnnError):
            raise WriteError(path, error) from error
        raise


def make_folder(path: Path, *, above: bool = False) -> None:
    """Make one folder; not those ``above`` it, so that a directory that was removed stays so. Raises WriteError."""
    try:
        path.mkdir(parents=above, exist_ok=True)
    except OSError as error:
        raise WriteError(path, error) from error


def open_own(path: Path, mode: str) -> BinaryIO:
    """Open a binary file for writing, but never by a link (``no_follow``). Raises WriteError."""
    try:
        return cast(BinaryIO, open(path, mode, opener=no_follow))  # the caller closes it
    except OSError as error:
        raise WriteError(path, error) from error


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, but no pipe and no device, at which a reader would wait for ever or without end.

    Whoever can write into a folder of runs can put one there. Raises OSError, also for a file beyond all use.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > _MOST_BYTES:
        os.close(descriptor)
        code = errno.EISDIR if stat.S_ISDIR(facts.st_mode) else errno.EFBIG if facts.st_size else errno.ENXIO
        raise OSError(code, os.strerror(code) if code != errno.ENXIO else "Not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path) -> bytes:
    """Return what is in a file. Raises OSError as ``open_regular``."""
    with open_regular(path) as file:
        return file.read()


def is_own_file(path: Path) -> bool:
    """Return whether a path is a file itself, and no link: what is copied from a run for others is of that run.

    Whoever made the run may have linked a file to it that only its reader can read.
    """
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file, as ``sha256sum`` prints it."""
    import hashlib

    digest = hashlib.sha256()
    with open_regular(file) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def tail(file: Path, size: int) -> bytes:
    """Return the last ``size`` bytes of a file, all of a shorter one, and nothing of one that cannot be read."""
    try:
        with open_regular(file) as lines:
            lines.seek(max(file.stat().st_size - size, 0))
            return lines.read()
    except OSError:
        return b""


def _flush(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str, *, executable: bool = False, durable: bool = True, folders: bool = True) -> None:
    """Write a file atomically, as ``replacing`` does."""
    # a path on Linux need not be UTF-8, and arrives in a job script byte for byte
    content = text.encode("utf-8", BYTES_OR_ESCAPES)
    write_bytes(path, content, executable=executable, durable=durable, folders=folders)


def write_bytes(
    path: Path, content: bytes, *, executable: bool = False, durable: bool = True, folders: bool = True
) -> None:
    """Write a binary file atomically, as ``replacing`` does."""
    with (
        replacing(path, executable=executable, durable=durable, folders=folders) as temporary,
        open_own(temporary, "wb") as file,
    ):
        file.write(content)


def write_json(path: Path, record: Mapping[str, Json], *, durable: bool = True, folders: bool = True) -> None:
    """Write one JSON object atomically (see ``replacing``). Numbers that are not finite become null."""
    write_text(path, as_json(record) + "\n", durable=durable, folders=folders)


def as_json(record: Mapping[str, Json]) -> str:
    """Return a record as the JSON that is written. Numbers that are not finite become null."""
    return json.dumps(_finite(record), indent=2, allow_nan=False, default=_plain)


# What a record of hpcnn's never reaches, and what comes after could not take: pandas, NumPy, Python's own recursion.
_MOST_DEPTH = 64


def fits_64_bits(number: int) -> bool:
    """Return whether an integer is one of 64 bits with a sign, as TOML, NumPy and pandas have them."""
    return number.bit_length() < 64


def parse_json(text: str) -> Json:
    """Return the value of a JSON text. Raises ValueError for one that is too deep, and for integers beyond 64 bits."""
    try:
        value = json.loads(text, parse_int=_int)
    except RecursionError as error:
        raise ValueError("too deeply nested") from error
    if text.count("[") + text.count("{") > _MOST_DEPTH:
        check_depth(value)
    return value


def check_depth(value: Json) -> None:
    """Raise ValueError for lists and tables within each other beyond all use."""
    level = [value]
    for _ in range(_MOST_DEPTH):
        inner = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, (dict, list)))
        level = [item for items in inner for item in items]
        if not level:
            return
    raise ValueError(f"nested deeper than {_MOST_DEPTH} levels")


def _int(text: str) -> int:
    number = int(text)
    if not fits_64_bits(number):
        raise ValueError(f"an integer of {len(text)} digits")
    return number


def read_json(path: Path) -> dict[str, Json] | None:
    """Return the JSON object in ``path``, or None for a file that is missing or does not hold a whole object."""
    try:
        record = parse_json(read_bytes(path).decode())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return None
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    return record if isinstance(record, dict) else None


def read_lines(path: Path) -> Iterator[dict[str, Json]]:
    """Yield the records of a ``.jsonl`` file. Leave out lines that are not whole, such as one cut off by a crash."""
    with open_regular(path) as file:
        for line in file:
            try:
                record = parse_json(line.decode())
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
