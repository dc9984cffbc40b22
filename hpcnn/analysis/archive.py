"""An archive of the records of many runs, with the SHA-256 sum of each file, that anybody can load again.

A gzipped tar of the ``.json`` and ``.jsonl`` files of each run, and of ``SHA256SUMS`` in the form of sha256sum(1). It
has no weights and no logs. The same runs give the same bytes.
Computes nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hpcnn.specs.software import without_secrets
from hpcnn.util.cache_dir import cache_folder, make_private
from hpcnn.util.errors import UsageError
from hpcnn.util.files import as_json, file_sha256, is_own_file, read_bytes, read_json, write_bytes
from hpcnn.util.unreadable import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUFFIX = ".tar.gz"
_SUMS = "SHA256SUMS"
_RECORDS = (".json", ".jsonl")
# Records of a hundred thousand runs have less: a small file may claim, and unpack to, any size.
_MOST_BYTES = 1 << 32
# Records of who works in a directory now: of no use elsewhere.
_LIVE = ("owner-", "progress")


def write_archive(runs: Sequence[Path], file: Path) -> None:
    """Write the records of ``runs`` (absolute paths) to ``file``. Raises OSError where a file cannot be read."""
    above = Path(os.path.commonpath([run.parent for run in runs]))
    contents = {
        record.relative_to(above).as_posix(): _content(record)
        for run in runs
        for record in sorted(run.iterdir())
        if record.suffix in _RECORDS and is_own_file(record) and not record.name.startswith((*_LIVE, "."))
    }
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(contents.items()))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in ((_SUMS, sums.encode()), *sorted(contents.items())):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    write_bytes(file, gzip.compress(packed.getvalue(), mtime=0))


def _content(record: Path) -> bytes:
    """Return what a record has for others: not the secrets of a run of hpcnn 0.1, which kept them."""
    content = read_bytes(record)
    spec = read_json(record) if record.name == "spec.json" else None
    software = (spec or {}).get("software")
    if spec is None or not isinstance(software, dict) or (cleaned := without_secrets(software)) == software:
        return content
    return (as_json({**spec, "software": cleaned}) + "\n").encode()


def unpacked(file: Path) -> Path:
    """Return a folder with the runs of an archive, below the user's cache folder; every sum is checked first.

    Raises UsageError for a file that is no such archive, and for one whose contents are not those of its sums.
    """
    try:
        with tarfile.open(file, "r:gz") as tar:
            contents = dict(_contents(tar))
    except (tarfile.TarError, EOFError, *UNREADABLE) as error:
        raise UsageError(f"DIR: {str(file)!r} is no archive of runs: {error}") from error
    sums = _sums(contents.pop(_SUMS, b""))
    damaged = [name for name in sorted({*sums, *contents}) if _sum(contents.get(name)) != sums.get(name)]
    if damaged or not sums:
        what = f"{damaged[0]} is not as its sum says" if damaged else f"it has no {_SUMS}"
        raise UsageError(f"DIR: {str(file)!r} is damaged or no archive of runs: {what}")
    folder = cache_folder() / "archives" / file_sha256(file)
    for name, content in contents.items():
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or place.suffix not in _RECORDS:
            raise UsageError(f"DIR: {str(file)!r} holds {name!r}, which is no record of a run")
        make_private(folder)
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / place, content)
    return folder


def _contents(tar: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an archive. Raises TarError for one that unpacks to more than any records are."""
    size = 0
    for entry in tar:
        size += entry.size
        if size > _MOST_BYTES:
            raise tarfile.TarError(f"it holds more than {_MOST_BYTES >> 30} GiB")
        if entry.isfile() and (opened := tar.extractfile(entry)) is not None:
            yield entry.name, opened.read()


def _sum(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _sums(text: bytes) -> dict[str, str]:
    lines = (line.partition("  ") for line in text.decode("utf-8", "replace").splitlines())
    return {name: digest for digest, _, name in lines if name}
