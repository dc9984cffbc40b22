"""A disk that is full: what cannot be written is left out whole, and the error says which file and why."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpcnn.rundir.close import finish
from hpcnn.rundir.layout import RunDir
from hpcnn.scheduler.bash import run as run_script
from hpcnn.util.files import LineWriter, WriteError, read_lines, write_bytes

KIB = 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a file system, where it can at all")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path, but: int = 0) -> None:
    """Fill the disk except for so many KiB."""
    with (disk / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4 * KIB):
            pass
    assert shutil.disk_usage(disk).free == 0
    os.truncate(disk / "ballast", (disk / "ballast").stat().st_size - but * KIB)


def test_a_file_that_does_not_fit_leaves_the_earlier_one(disk: Path) -> None:
    write_bytes(disk / "weights.npz", b"before")
    fill(disk, but=8)
    with pytest.raises(WriteError, match=r"weights\.npz: cannot be written: no space \(no space left on device\)"):
        write_bytes(disk / "weights.npz", b"x" * 20 * KIB)
    assert (disk / "weights.npz").read_bytes() == b"before"
    assert {file.name for file in disk.iterdir()} == {"weights.npz", "ballast"}


def test_a_line_that_does_not_fit_is_taken_back(disk: Path) -> None:
    fill(disk, but=8)
    lines = LineWriter(disk / "epochs")
    with pytest.raises(WriteError, match="epochs: cannot be written: no space"):
        list(map(lines.write, ({"epoch": epoch, "pad": "x" * 100} for epoch in range(1, 1000))))
    lines.close()
    assert (disk / "epochs").read_bytes().endswith(b"}\n")
    assert list(read_lines(disk / "epochs"))


def test_a_record_that_cannot_be_closed_says_so_and_leaves_nothing(disk: Path) -> None:
    run = RunDir(disk / "run")
    run.create()
    fill(disk)
    with pytest.raises(WriteError, match=r"run/result\.json: cannot be written: no space"):
        finish(run.path, 1)
    assert list(run.path.iterdir()) == []


def test_a_log_that_cannot_be_written_is_named(disk: Path, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("for n in {1..2000}; do echo a line of the log that says nothing; done")
    with pytest.raises(WriteError, match=r"log\.out: cannot be written: no space"):
        run_script(script, disk / "log.out")


@pytest.mark.integration
@pytest.mark.parametrize("free", [0, 8, 24])
def test_a_training_whose_disk_is_full_says_so(disk: Path, free: int) -> None:
    pytest.importorskip("tensorflow")
    run = RunDir(disk / "run")
    run.create()
    fill(disk, but=free)
    words = ["train", "--data", "digits", "--model", "psc-cnn-dropout", "--epochs", "1", "--checkpoint", "--run-dir"]
    ended = subprocess.run(
        [sys.executable, "-m", "hpcnn", *words, run.path], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "cannot be written: no space" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not [file for file in disk.rglob("*") if ".tmp" in file.name or file.suffix == ".keras"]
    result = run.read_result()
    assert result is None or (result["status"] == "failed" and "no space" in str(result["reason"]))
    assert result is not None or free < 24
