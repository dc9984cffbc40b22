"""Where jobs are submitted from and by whom: an ordinary user, another job, sites that pass no environment on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from tests.slurm.conftest import Cluster
from tests.testbed.cluster import USER

pytestmark = pytest.mark.slurm

_WORLD = (
    "import socket; from mpi4py import MPI; from hpcnn.rundir.layout import RunDir; "
    "print(MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size(), socket.gethostname())"
)
_RANKS = ("--nodes", "2", "--ntasks-per-node", "1", "--cpus-per-task", "1")


def _printed(run: Path) -> list[list[str]]:
    """Return the words that each rank printed. The last line of the log is hpcnn's: that it saw none of the ranks."""
    *lines, note = RunDir(run).log.read_text().splitlines()
    assert note.startswith("Warning: none of the 2 ranks called hpcnn.init()")
    return [line.split() for line in lines]


def test_an_ordinary_user_submits_and_reads_the_result(cluster: Cluster, mpi: None, keep: Path) -> None:
    def as_user(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**cluster.environment, "HOME": str(keep), "HPCNN_RUNS": str(keep / "runs")}
        environment |= {"HPCNN_CACHE": str(keep / "cache"), "XDG_CACHE_HOME": str(keep / ".cache")}
        command = ["runuser", "-u", USER, "--", *words]
        return subprocess.run(
            command, env=environment, cwd=keep, capture_output=True, text=True, timeout=120, check=False
        )

    keep.chmod(0o777)
    if as_user(sys.executable, "-c", "import hpcnn.rundir.layout, mpi4py").returncode:
        pytest.skip(f"an ordinary user may not read {sys.executable} or this checkout")
    words = ("submit", "--site", "testbed", "--run-dir", str(keep / "run"), *_RANKS, "--wait", "--")
    run = as_user(sys.executable, "-m", "hpcnn", *words, sys.executable, "-c", _WORLD)
    assert run.returncode == 0, run.stderr + RunDir(keep / "run").log.read_text()
    assert sorted(line[:2] for line in _printed(keep / "run")) == [["0", "2"], ["1", "2"]]
    status = as_user(sys.executable, "-m", "hpcnn", "status", str(keep / "run"), "--format", "json")
    assert json.loads(status.stdout)[0]["status"] == "completed"
    assert (keep / "run" / "job.sh").owner() == USER


def test_a_job_submits_a_job(cluster: Cluster, mpi: None, keep: Path) -> None:
    """The inner one gets its own nodes, tasks and cores, whatever the outer one was given."""
    inner = (sys.executable, "-m", "hpcnn", "submit", "--site", "testbed", "--run-dir", str(keep / "inner"), *_RANKS)
    words = ("--run-dir", str(keep / "outer"), "--ntasks", "1", "--cpus-per-task", "1", "--wait", "--")
    outer = cluster.submit(*words, *inner, "--wait", "--", sys.executable, "-c", _WORLD)
    assert outer.returncode == 0, RunDir(keep / "outer").log.read_text() + RunDir(keep / "inner").log.read_text()
    lines = _printed(keep / "inner")
    assert sorted(line[:2] for line in lines) == [["0", "2"], ["1", "2"]]
    assert len({line[2] for line in lines}) == 2


def test_a_site_that_passes_no_environment_on(cluster: Cluster, mpi: None, keep: Path) -> None:
    """As sbatch --export=NONE does, which some sites make the default: the script brings all that it needs."""
    words = ("--run-dir", str(keep / "run"), *_RANKS, "--env", f"SLURM_CONF={cluster.bed.slurm_conf}")
    script = keep / "job.sh"
    script.write_text(cluster.submit("--dry-run", *words, "--", sys.executable, "-c", _WORLD).stdout)
    (keep / "run").mkdir()
    bare = {"PATH": os.environ["PATH"], "SLURM_CONF": str(cluster.bed.slurm_conf)}
    command = ["sbatch", "--export=NONE", "--wait", str(script)]
    done = subprocess.run(command, env=bare, cwd=keep, capture_output=True, text=True, timeout=100, check=False)
    log = RunDir(keep / "run").log.read_text()
    assert done.returncode == 0, done.stderr + log
    assert sorted(line.split()[:2] for line in log.splitlines()) == [["0", "2"], ["1", "2"]]


def test_a_cluster_without_accounting(cluster: Cluster, keep: Path) -> None:
    """sacct says nothing there: what squeue has forgotten is known by its record, or unknown, and never completed."""
    conf = keep / "slurm.conf"
    lines = cluster.bed.slurm_conf.read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("AccountingStorage", "JobAcctGather"))]
    conf.write_text("\n".join([*kept, "AccountingStorageType=accounting_storage/none"]) + "\n")
    for name in ("gres.conf", "cgroup.conf"):
        if (cluster.bed.slurm_conf.parent / name).exists():
            (keep / name).write_text((cluster.bed.slurm_conf.parent / name).read_text())
    off = {"SLURM_CONF": str(conf)}
    refused = subprocess.run(
        ["sacct", "-j", "1"], env={**cluster.environment, **off}, capture_output=True, text=True, check=False
    )
    assert "disabled" in refused.stdout + refused.stderr

    words = ("submit", "--site", "testbed", "--run-dir", str(keep / "run"), "--wait", "--", "sh", "-c", "exit 3")
    run = cluster.hpcnn(*words, **off)
    assert run.returncode == 3, run.stderr
    rows = json.loads(cluster.hpcnn("status", str(keep / "run"), "--format", "json", **off).stdout)
    assert rows[0]["status"] == "failed"
    rows = json.loads(cluster.hpcnn("status", "987654", "--format", "json", **off).stdout)
    assert rows[0]["status"] == "unknown"
