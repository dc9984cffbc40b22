"""Submissions that are cut off between sbatch and its answer, on a real cluster: no job is lost or runs twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_json
from tests.slurm.conftest import Cluster, wait_for

pytestmark = pytest.mark.slurm

_TIMED_OUT = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"


class Broken:
    """A folder first in PATH with a sbatch that hands the job on to the real one, and then fails as a test says."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        folder.mkdir()
        self.path = f"{folder}:{cluster.environment['PATH']}"

    def sbatch(self, after: str, status: int = 0) -> None:
        real = shutil.which("sbatch", path=self.cluster.environment["PATH"])
        script = self.folder / "sbatch"
        script.write_text(f'#!/bin/sh\n{real} "$@" >{self.folder}/id || exit\n{after}\nexit {status}\n')
        script.chmod(0o755)

    @property
    def job(self) -> str:
        return (self.folder / "id").read_text().strip()


@pytest.fixture
def broken(cluster: Cluster, keep: Path) -> Iterator[Broken]:
    found = Broken(cluster, keep / "bin")
    yield found
    for file in keep.rglob("*.json"):
        job = (read_json(file) or {}).get("job_id")
        if job:
            subprocess.run(["scancel", str(job)], env=cluster.environment, check=False)


def test_sbatch_times_out_after_it_has_accepted(cluster: Cluster, broken: Broken, keep: Path) -> None:
    """In a folder whose name has what separates squeue's columns, and a letter that is no ASCII."""
    broken.sbatch(f"echo '{_TIMED_OUT}' >&2", 1)
    folder = keep / "a|b ü"
    folder.mkdir()
    done = cluster.submit("--run-dir", "run", "--", "sleep", "60", cwd=folder, PATH=broken.path)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"job: {broken.job}"), done.stderr
    again = cluster.submit("--run-dir", "run", "--", "sleep", "60", cwd=folder)
    assert (again.returncode, "is still" in again.stderr) == (2, True)
    assert cluster.hpcnn("cancel", str(folder)).stdout == f"cancelled: {broken.job}\n"


@pytest.mark.parametrize("arrays", [True, False])
def test_a_killed_study_submit_is_found_again(cluster: Cluster, broken: Broken, keep: Path, arrays: bool) -> None:
    (keep / "sites").mkdir()
    profile = (cluster.shared / "config" / "sites" / "testbed.toml").read_text()
    (keep / "sites" / "testbed.toml").write_text(f"{profile}arrays = {json.dumps(arrays)}\n")
    ran = keep / "ran"
    program = ["sh", "-c", f"echo ran >> {ran}; sleep 2"]
    (keep / "mine.toml").write_text(f'name = "mine"\nprogram = {json.dumps(program)}\nrepeats = {2 if arrays else 1}\n')
    words = ("mine.toml", "--site", "testbed", "--runs", str(keep / "runs"))
    own = {"HPCNN_CONFIG": str(keep)}
    broken.sbatch(f"touch {keep}/accepted; sleep 3")
    process = subprocess.Popen(
        [sys.executable, "-m", "hpcnn", "study", "submit", *words],
        cwd=keep,
        env={**cluster.environment, **own, "PATH": broken.path},
    )
    wait_for((keep / "accepted").exists)
    process.kill()
    process.wait()
    first = cluster.hpcnn("study", "status", *words, "--each", "--format", "json", cwd=keep, **own)
    assert {row["job_id"].partition("_")[0] for row in json.loads(first.stdout)} == {broken.job}, first.stderr
    done = cluster.hpcnn("study", "submit", *words, "--wait", cwd=keep, **own)
    assert (done.returncode, "0 to submit" in done.stderr) == (0, True), done.stderr
    assert len(ran.read_text().split()) == (2 if arrays else 1)
    assert not list((keep / "runs" / "mine").glob("*~*"))


def test_a_job_that_ended_before_anybody_asked(cluster: Cluster, broken: Broken, keep: Path) -> None:
    broken.sbatch("kill -9 $$")
    run = RunDir(keep / "run")
    words = [sys.executable, "-m", "hpcnn", "submit", "--site", "testbed", "--run-dir", str(run.path), "--", "true"]
    silent = keep / "silent"
    silent.mkdir()
    (silent / "squeue").write_text("#!/bin/sh\nexit 1\n")
    (silent / "squeue").chmod(0o755)
    environment = {**cluster.environment, "PATH": f"{silent}:{broken.path}"}
    process = subprocess.Popen(words, cwd=keep, env=environment, stderr=subprocess.DEVNULL)
    wait_for(run.result.exists)
    process.kill()
    process.wait()
    time.sleep(1)
    (row,) = cluster.status(str(run.path))
    assert row["status"] == "completed"
