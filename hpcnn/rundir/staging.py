"""What a job has copied to the disks of its nodes: ``staging.json``, by which its ranks find the copies.

The job script names the file in ``HPCNN_STAGING``. Each copy is named after its original, so that data of another file
can never be read from it, and a rank uses it only while the original is what it was when it was copied. Must not import
any other room but ``util``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from hpcnn.util.files import read_json, write_json
from hpcnn.util.types import Json

VARIABLE = "HPCNN_STAGING"
SBCAST, BY_NODE = "sbcast", "one task a node"


@dataclass(frozen=True)
class Original:
    """A file that data is read from, or a folder. depth: folders within it that belong to it, -1 for all of them."""

    path: Path
    depth: int = 0


@dataclass(frozen=True)
class Staged:
    """An original that is copied, and its copy. ``path`` and ``copy`` are absolute.

    how: SBCAST or BY_NODE. stamp: of names, sizes and times of all files. folders: stamp of the folders alone, which is
    cheap to find again; empty for a file.
    """

    path: str
    copy: str
    depth: int
    how: str
    files: int
    bytes: int
    stamp: str
    folders: str


@dataclass(frozen=True)
class Staging:
    """All copies of a job. job: the attempt that made them (``attempt_here``). seconds: until all nodes had theirs."""

    job: str
    nodes: int
    seconds: float
    staged: tuple[Staged, ...]


def attempt_here() -> str:
    """Return the name of the attempt of Slurm's job in which this process is."""
    return f"{os.environ.get('SLURM_JOB_ID', '')}-{os.environ.get('SLURM_RESTART_COUNT', '0')}"


def write_staging(file: Path, staging: Staging) -> None:
    """Write ``staging.json``."""
    write_json(file, {"schema": 1, **asdict(staging), "staged": [asdict(one) for one in staging.staged]})


def read_staging(file: Path) -> Staging | None:
    """Return what a job has copied; None where there is no such file, or none of this attempt."""
    found: dict[str, Json] = read_json(file) or {}
    try:
        staged = tuple(Staged(**one) for one in found["staged"])
        staging = Staging(found["job"], found["nodes"], found["seconds"], staged)
    except (KeyError, TypeError):
        return None
    return staging if staging.job == attempt_here() else None


def stamp_of_files(files: Iterable[tuple[str, int, int]]) -> str:
    """Return a digest of files, each (name within the original, bytes, time of its last change in ns)."""
    digest = hashlib.sha256()
    for name, size, changed in sorted(files):
        digest.update(f"{name}\0{size}\0{changed}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def stamp_of_folders(original: Original) -> str:
    """Return a digest of the times at which entries of a folder, or of a folder in it, were made or removed last."""
    if not original.path.is_dir():
        return ""
    inside = [entry.path for entry in os.scandir(original.path) if entry.is_dir()] if original.depth else []
    folders = [str(original.path), *inside]
    return stamp_of_files((folder, 0, Path(folder).stat().st_mtime_ns) for folder in folders)


def files_of(original: Original) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the name within the original, and the facts, of every file of it: "" for the file that it is itself.

    Symbolic links are followed. Raises OSError for a file that cannot be reached, and for a link to a folder above.
    """
    if not original.path.is_dir():
        yield "", original.path.stat()
        return
    yield from _files_in(original.path, "", original.depth, ())


def _files_in(
    folder: Path, prefix: str, depth: int, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, os.stat_result]]:
    facts = folder.stat()
    own = (facts.st_dev, facts.st_ino)
    if own in above:
        raise OSError(f"{folder} is a link to a folder above it")
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if not entry.is_dir():
                yield name, entry.stat()
            elif depth:
                yield from _files_in(Path(entry.path), f"{name}/", depth - 1, (*above, own))
