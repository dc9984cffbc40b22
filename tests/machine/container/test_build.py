"""hpcnn container build without Apptainer: how a build runs, is kept, is found again, fails and is interrupted.

A shell script stands in for the container runtime. tests/slurm/test_sif.py has a real one.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hpcnn import __version__
from hpcnn.machine.container.context import KINDS
from hpcnn.machine.container.progress import stage_of
from tests.machine.container.container_command import container, start


def calls(environment: dict[str, str]) -> list[str]:
    file = Path(environment["CALLS"])
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_runtime_it_says_what_to_load(kind: str, tmp_path: Path) -> None:
    ended = container({**os.environ, "PATH": str(tmp_path)}, "build", kind)
    assert ended.returncode == 2
    assert "neither apptainer nor singularity is on PATH: load its module (`module load apptainer`" in ended.stderr


def test_the_dry_run_prints_the_command_that_the_build_runs(machine: dict[str, str]) -> None:
    shown = container(machine, "build", "cpu", "--dry-run")
    assert not Path(machine["HPCNN_CACHE"]).exists()
    built = container(machine, "build", "cpu")
    assert built.returncode == 0, built.stderr
    image = Path(built.stdout.strip())
    assert image.with_suffix(".log").read_text().splitlines()[0] == f"$ {shown.stdout.strip()}"
    assert shown.stdout.strip().endswith(f"{calls(machine)[0].partition(' ')[2]}")
    assert f"--build-arg hpcnn={__version__}" in shown.stdout


def test_what_a_killed_build_left_is_removed_though_its_image_is_there(machine: dict[str, str]) -> None:
    image = Path(container(machine, "build", "cpu").stdout.strip())
    left = image.with_suffix(".build") / "pip" / "pip.conf"
    left.parent.mkdir(parents=True)
    left.write_text("a password")
    assert container(machine, "build", "cpu").returncode == 0
    assert not left.parent.parent.exists()


def test_an_image_is_built_once_and_found_again(machine: dict[str, str], tmp_path: Path) -> None:
    missing = container(machine, "path", "cpu")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "Error: the cpu image is not built: hpcnn container build cpu" in missing.stderr

    built = container(machine, "build", "cpu")
    assert [line.split("s  ")[1] for line in built.stderr.splitlines()] == [
        "the base system",
        "Python packages",
        "packing the image",
    ]
    assert container(machine, "path", "cpu").stdout == built.stdout
    copied = container(machine, "build", "cpu", "--output", tmp_path / "here" / "my.sif")
    assert copied.stdout.strip() == str(tmp_path / "here" / "my.sif")
    assert (tmp_path / "here" / "my.sif").read_bytes() == Path(built.stdout.strip()).read_bytes()
    assert len(calls(machine)) == 1
    assert container(machine, "build", "cpu", "--force").returncode == 0
    assert len(calls(machine)) == 2
    # no folder with pip's settings is left behind
    names = {path.suffix for path in Path(built.stdout.strip()).parent.iterdir()}
    assert names == {".sif", ".sha256", ".log", ".lock"}


def test_two_builds_of_one_image_are_one(machine: dict[str, str]) -> None:
    both = [start({**machine, "SLOW": "2"}, "build", "cpu") for _ in range(2)]
    answers = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    assert len(calls(machine)) == 1
    assert sum("another build of this image is running: waiting for it" in errors for _, errors in answers) == 1


def test_a_failed_build_leaves_no_image_and_says_where_its_log_is(machine: dict[str, str]) -> None:
    failed = container({**machine, "FAILS": "mksquashfs: No space left on device"}, "build", "cpu")
    assert failed.returncode == 1
    assert "    mksquashfs: No space left on device" in failed.stderr
    assert "Likely cause: the disk is full: point APPTAINER_TMPDIR" in failed.stderr
    assert "for the image gpu with 12 GB" in failed.stderr
    log = re.search(r"The whole log: (.+)$", failed.stderr, re.MULTILINE)
    assert log
    assert "==> Python packages" in Path(log[1]).read_text()
    assert container(machine, "path", "cpu").returncode == 1
    assert {path.suffix for path in Path(log[1]).parent.iterdir()} == {".log", ".lock"}


def test_an_interrupted_build_leaves_neither_image_nor_process(machine: dict[str, str]) -> None:
    seconds = f"98.{os.getpid():08d}"  # by which its `sleep` is told from that of other tests on this machine
    process = start({**machine, "SLOW": seconds}, "build", "cpu")
    end = time.monotonic() + 30
    while not calls(machine):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=40)
    assert process.returncode != 0
    assert {path.suffix for path in (Path(machine["HPCNN_CACHE"]) / "images").iterdir()} == {".log", ".lock"}
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert seconds not in running


@pytest.mark.parametrize(
    ("line", "stage"),
    [
        ("==> Horovod (about 5 minutes on 2 cores)", "Horovod (about 5 minutes on 2 cores)"),
        ("INFO:    Starting build...", "the base system"),
        ("INFO:    Creating SIF file...", "packing the image"),
        ("INFO:    Running testscript", "the image's own tests"),
        ("+ echo '==> Horovod'", None),
        ("I: Retrieving adduser 3.134", None),
    ],
)
def test_stages_are_read_from_the_builders_output(line: str, stage: str | None) -> None:
    assert stage_of(line) == stage
