"""Fill a disk at each level, and train on it: what cannot be written is said, and what there is, is right."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import TEMPORARY
from tests.faults.kills import check_readable, check_whole, go_on, training, undisturbed
from tests.faults.kinds import Kind, Wrong, again, fresh, oracle
from tests.faults.process import run

KIB = 1024


@contextlib.contextmanager
def disk(place: Path, kib: int) -> Iterator[Path]:
    """Mount a file system of so many KiB while the block runs. Only root can; raises CalledProcessError."""
    place.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "none", str(place)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(kind: Kind, place: Path, levels: range) -> int:
    """Do a kind of work on disks with so many KiB of room each; then make room, and do it again.

    Returns how many disks were too small. A command that fails says which file, and leaves none half.
    """
    right = oracle(kind, place)
    full = 0
    for kib in levels:
        with disk(place / "disk", 64 * KIB) as small:
            folder = fresh(kind, small)
            before = _temporary(small)
            (small / "full").write_bytes(bytes(4 * KIB))  # else there is always room for one block
            _resize(small, _used(small) + kib)
            ended = run(kind.action(folder), small)
            at = f"{kind.name}, {kib} KiB"
            if "Traceback" in ended.output or ended.status not in (0, 1, 2, 75):
                raise Wrong(f"{at}: {ended.status}: {ended.output}")
            if ended.status:
                full += 1
                if "no space" not in ended.output.lower():
                    raise Wrong(f"{at}: no reason: {ended.output}")
                if left := _temporary(small) - before:
                    raise Wrong(f"{at}: left behind: {left}")
            _resize(small, 64 * KIB)
            again(kind, folder, small)
            if (facts := kind.facts(folder)) != right.facts:
                raise Wrong(f"{at}: {facts}, not {right.facts}; it said: {ended.output}")
    return full


def _resize(small: Path, kib: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={max(kib, 4)}k", str(small)], check=True)


def _used(small: Path) -> int:
    facts = os.statvfs(small)
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize // KIB


def _temporary(small: Path) -> set[str]:
    return {str(file) for file in small.rglob("*") if file.name.endswith(TEMPORARY)}


def can_mount(place: Path) -> bool:
    """Return whether this process can mount a file system here."""
    if os.geteuid():
        return False
    try:
        with disk(place, 64):
            return True
    except subprocess.CalledProcessError:
        return False


def fill_levels(place: Path, levels: range) -> int:
    """Train on disks with so many KiB each; then make room, and train again. Return how many were too small."""
    oracle = undisturbed(place)
    full = 0
    for kib in levels:
        with disk(place / "disk", max(kib, 4)) as small:
            folder = small / "run"
            ended = run(training(folder), place)
            if "Traceback" in ended.output or ended.status not in (0, 1, 2):
                raise Wrong(f"{kib} KiB: {ended.status}: {ended.output}")
            if ended.status:
                full += 1
                if "no space" not in ended.output:
                    raise Wrong(f"{kib} KiB: no reason: {ended.output}")
                result = RunDir(folder).read_result() if folder.exists() else None
                if result is not None and (result["status"] != "failed" or "no space" not in str(result["reason"])):
                    raise Wrong(f"{kib} KiB: {result}")
                if folder.exists() and [file for file in folder.iterdir() if file.name.startswith((".", "owner"))]:
                    raise Wrong(f"{kib} KiB: left behind: {os.listdir(folder)}")  # noqa: PTH208
                _resize(small, KIB)
                with contextlib.suppress(FileNotFoundError):
                    RunDir(folder).result.unlink()
                ended = go_on(folder)
            check_readable(folder, oracle)
            check_whole(ended, folder, oracle)
    return full
