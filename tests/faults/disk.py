"""Fill a disk at each level, and train on it: what cannot be written is said, and what there is, is right."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from hpcnn.rundir.layout import RunDir
from tests.faults.kills import Wrong, check_readable, check_whole, go_on, training, undisturbed
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
                subprocess.run(["mount", "-o", "remount,size=1m", str(small)], check=True)
                with contextlib.suppress(FileNotFoundError):
                    RunDir(folder).result.unlink()
                ended = go_on(folder)
            check_readable(folder, oracle)
            check_whole(ended, folder, oracle)
    return full
