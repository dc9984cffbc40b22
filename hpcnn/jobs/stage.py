"""Copy the data of a job to the disk of each of its nodes before its ranks start: what its script calls in the job.

Few files go by sbcast, which sends each from node to node. Many files, and folders, are copied by one task a node. A
copy that is not whole is never used: its ranks read the original, and say so (``hpcnn.data.copies``).
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hpcnn.jobs.submit import hpcnn_command
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.staging import (
    BY_NODE,
    SBCAST,
    Original,
    Staged,
    Staging,
    attempt_here,
    files_of,
    read_staging,
    stamp_of_files,
    stamp_of_folders,
    write_staging,
)
from hpcnn.util.errors import HpcnnError
from hpcnn.util.files import read_json, reason_of
from hpcnn.zoo.catalogue import originals_of

Say = Callable[[str], object]

# So many files go by sbcast, one after another.
_FEW = 4
# To list more would take each node minutes, and gigabytes of memory.
_MOST_FILES = 1_000_000
# The share of a disk's free space that copies may take; where that disk is memory, the share of the job's.
_SHARE, _SHARE_OF_MEMORY = 0.9, 0.25
_IN_MEMORY = ("tmpfs", "ramfs")
# A file system of a cluster answers many at once: a node copies so many files at the same time.
_THREADS = 16


def stage(run: RunDir, copies: str, say: Say) -> None:
    """Copy the data of a run to all nodes of this job, and write ``staging.json``.

    copies: how the names of all copies begin, on each node: what is the job's, and after a "-" what is this attempt's.
    say: takes a line for people: why nothing was copied, where that is so. Never raises for data that cannot be copied:
    the ranks read the originals.
    """
    begin = time.monotonic()
    try:
        run.staging.unlink(missing_ok=True)  # of an earlier attempt
        staged = _planned(run, copies)
        _check_room(Path(copies).parent, sum(one.bytes for one in staged))
    except (HpcnnError, OSError) as error:
        say(f"hpcnn: the data is read where it is, and not from the nodes' own disks: {error}")
        return
    nodes = int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))
    by_node = ["srun", f"--ntasks={nodes}", "--ntasks-per-node=1", "--mpi=none"]
    if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":  # an attempt that was killed has removed nothing
        _call([*by_node, "sh", "-c", 'rm -rf "$0"-*', copies.rpartition("-")[0]], say)
    staging = Staging(attempt_here(), nodes, 0.0, staged)
    write_staging(run.staging, staging)  # what the tasks copy
    for one in staged:
        if one.how == SBCAST:
            _call(["sbcast", "--force", "--preserve", one.path, one.copy], say)
    if any(one.how == BY_NODE for one in staged):
        _call([*by_node, *hpcnn_command(), "record", "copy", "--run-dir", str(run.path)], say)
    write_staging(run.staging, dataclasses.replace(staging, seconds=time.monotonic() - begin))


def copy_here(run: RunDir, say: Say) -> None:
    """Make the copies on this node that no sbcast makes. say: takes a line for people on each that failed."""
    staging = read_staging(run.staging)
    for one in staging.staged if staging else ():
        if one.how != BY_NODE:
            continue
        part = Path(f"{one.copy}.part")
        try:
            _remove(part)
            _remove(Path(one.copy))
            _copy(one, part)
            part.rename(one.copy)  # a copy that is there is whole
        except OSError as error:
            say(f"hpcnn: {socket.gethostname()}: {one.path} is not copied to this node's disk: {reason_of(error)}")
            _remove(part)


def _planned(run: RunDir, copies: str) -> tuple[Staged, ...]:
    """Return what is to be copied, as the originals are now."""
    train = (read_json(run.spec) or {}).get("train")
    if not isinstance(train, dict) or not isinstance(train.get("data"), str):
        raise HpcnnError(f"{run.spec} names no data")
    originals = [
        Original(path.absolute(), depth)
        for path, depth in dict.fromkeys(originals_of(train["data"], train.get("data_args")))
    ]
    few = len(originals) <= _FEW and all(one.path.is_file() for one in originals)
    return tuple(_facts(one, copies, SBCAST if few else BY_NODE) for one in originals)


def _facts(original: Original, copies: str, how: str) -> Staged:
    files: list[tuple[str, int, int]] = []
    folders = stamp_of_folders(original)
    for name, facts in files_of(original):
        files.append((name, facts.st_size, facts.st_mtime_ns))
        if len(files) > _MOST_FILES:
            raise OSError(f"{original.path} has more than {_MOST_FILES:,} files")
    size = sum(size for _, size, _ in files)
    path = str(original.path)
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    copy = f"{copies}-{digest}{original.path.suffix}"
    return Staged(path, copy, original.depth, how, len(files), size, stamp_of_files(files), folders)


def _check_room(disk: Path, size: int) -> None:
    """Raise HpcnnError where the data would take too much of the node's disk, or of the memory that this disk is."""
    if disk == Path("/"):
        raise HpcnnError("the variable of the site's local_disk is not set in this job")
    facts = os.statvfs(disk)
    room, what = int(facts.f_bavail * facts.f_frsize * _SHARE), f"{disk} has room for"
    if _kind_of_disk(disk) in _IN_MEMORY:
        of_memory = int(_memory(os.environ) * _SHARE_OF_MEMORY)
        if of_memory < room:
            room, what = of_memory, f"{disk} is memory, of which copies may take"
    if size > room:
        raise HpcnnError(f"it has {size / 1e9:.3g} GB, and {what} {room / 1e9:.3g} GB")


def _kind_of_disk(folder: Path) -> str:
    """Return the type of the file system of a folder, as the kernel calls it."""
    where, kind = "", ""
    resolved = f"{folder.resolve()}/"
    for line in Path("/proc/mounts").read_text(errors="surrogateescape").splitlines():
        _, place, of_place, *_ = line.split(" ")
        place = place.replace("\\040", " ").rstrip("/") + "/"
        if resolved.startswith(place) and len(place) >= len(where):
            where, kind = place, of_place
    return kind


def _memory(environment: Mapping[str, str]) -> int:
    """Return the bytes of memory of this job on a node; without a limit, what the node has free."""
    per_node = int(environment.get("SLURM_MEM_PER_NODE", "0"))
    per_core = int(environment.get("SLURM_MEM_PER_CPU", "0"))
    limit = per_node or per_core * int(environment.get("SLURM_CPUS_ON_NODE", "1"))
    if limit:
        return limit * 2**20
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def _call(words: Sequence[str], say: Say) -> None:
    """Run a command of Slurm, whose own words reach the log."""
    try:
        status = subprocess.run(words, check=False).returncode
        failure = f"status {status}" if status else None
    except OSError as error:
        failure = reason_of(error)
    if failure:
        say(f"hpcnn: {words[0]} failed ({failure}); nodes without a whole copy read the original")


def _copy(one: Staged, part: Path) -> None:
    """Copy a file or a folder. Raises OSError where not all of it is as it was planned."""
    original = Original(Path(one.path), one.depth)
    files = list(files_of(original))
    if original.path.is_dir():
        part.mkdir(mode=0o700)
        for folder in sorted({os.path.dirname(name) for name, _ in files}):  # noqa: PTH120
            (part / folder).mkdir(parents=True, exist_ok=True)

    def copy(file: tuple[str, os.stat_result]) -> tuple[str, int, int]:
        name, facts = file
        source, target = (Path(root, name) if name else root for root in (original.path, part))
        shutil.copyfile(source, target)
        now, size = source.stat(), target.stat().st_size
        if (now.st_size, now.st_mtime_ns) != (facts.st_size, facts.st_mtime_ns) or size != facts.st_size:
            raise OSError(f"{source} changed while it was copied")
        os.utime(target, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
        return name, size, facts.st_mtime_ns

    with ThreadPoolExecutor(_THREADS) as pool:
        copied = list(pool.map(copy, files))
    if stamp_of_files(copied) != one.stamp:
        raise OSError(f"{one.path} has changed since the job began to copy it")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
