"""What happens to trainings at their time limit, and when a rank or a node dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_lines
from tests.slurm.conftest import Cluster, wait_for
from tests.testbed import cluster as testbed

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.mpi]

# 20 steps of 50 ms an epoch, until the file `slow` goes.
_TRAINING = ("--model", "slow:network", "--data", "digits", "--samples", "1000", "--batch-size", "50", "--no-evaluate")
_TWO_NODES = ("--nodes", "2", "--ntasks-per-node", "1", "--cpus-per-task", "1")
# A rank that leaves its process number in the folder of the test, and waits for the other one ever again.
_RANK = """
import os, pathlib, sys, time
from mpi4py import MPI
pathlib.Path(sys.argv[1], f"rank{MPI.COMM_WORLD.Get_rank()}").write_text(str(os.getpid()))
while True:
    MPI.COMM_WORLD.allreduce(1)
    time.sleep(0.2)
"""


@pytest.fixture
def run(keep: Path) -> RunDir:
    """A run directory beside the slow model, in a folder that all nodes see."""
    shutil.copy(Path(__file__).with_name("slow.py"), keep)
    (keep / "slow").touch()
    return RunDir(keep / "run")


def _go_fast(run: RunDir) -> None:
    (run.path.parent / "slow").unlink()


def _submit(cluster: Cluster, run: RunDir, *words: str) -> None:
    done = cluster.submit("--run-dir", str(run.path), *words, cwd=run.path.parent)
    assert done.returncode == 0, done.stderr


def _job(run: RunDir) -> str:
    return str(json.loads(run.job.read_text())["job_id"])


def _epochs(run: RunDir, rank: int) -> list[int]:
    return [line["epoch"] for line in read_lines(run.epochs(rank))] if run.epochs(rank).exists() else []


def _log(run: RunDir) -> str:
    return run.log.read_text() if run.log.exists() else ""


def test_a_job_that_reaches_its_time_limit_requeues_itself_and_goes_on(
    cluster: Cluster, mpi: None, run: RunDir
) -> None:
    """60 s of steps in a job of one minute, which Slurm signals after 45 s at the latest."""
    begin = time.monotonic()
    _submit(cluster, run, *_TWO_NODES, *_TRAINING, "--epochs", "60", "--time", "1", "--requeue")
    attempts = 0
    end = time.monotonic() + 600
    while not run.result.exists() or json.loads(run.result.read_text())["status"] == "interrupted":
        assert time.monotonic() < end, _log(run)
        if cluster.state(_job(run)) == "PENDING" and _log(run).count("requeued") > attempts:
            attempts += 1
            if attempts == 1:
                _go_fast(run)
            # Slurm lets a requeued job wait for two minutes, so that its nodes can clean up. The seconds in which its
            # processes start would bring it to its limit again.
            cluster.slurm("scontrol", "update", f"JobId={_job(run)}", "StartTime=now+10", "TimeLimit=10")
        time.sleep(1)

    result = run.read_result()
    assert result is not None
    assert result["status"] == "completed", _log(run)
    assert attempts >= 1
    assert "going on in epoch" in _log(run)
    for rank in (0, 1):
        assert _epochs(run, rank) == list(range(1, 61))
    keys = [event["key"] for event in read_lines(run.events)]
    assert keys.count("resumed") == attempts
    # the time in the queue is in no time of the record
    slow = int(_log(run).partition("going on in epoch ")[2].split()[0].rstrip(",.:;"))
    assert slow - 1 <= result["seconds_total"] < time.monotonic() - begin - 10 * attempts


def test_a_job_without_requeue_ends_interrupted_and_is_resumed_by_hand(cluster: Cluster, run: RunDir) -> None:
    """One process with a network in NumPy: what the job and the commands do is the same for ranks."""
    _submit(cluster, run, "--model", "scinet-hidden", "--data", "circles", "--epochs", "20000")
    wait_for(lambda: 1 in _epochs(run, 0), 180)
    cluster.slurm("scancel", "--batch", "--signal=USR2", _job(run))  # as Slurm does before the limit
    ended = cluster.hpcnn("logs", "-f", str(run.path), seconds=180)
    assert ended.returncode == 75, ended.stdout
    assert cluster.status(str(run.path))[0]["status"] == "interrupted"
    assert "the time limit is near" in cluster.status(str(run.path))[0]["reason"]
    assert not run.stop.exists()

    shown = cluster.hpcnn("resume", str(run.path), "--time", "4", "--dry-run", cwd=run.path.parent)
    assert "#SBATCH --time=4\n" in shown.stdout
    assert "--resume" in shown.stdout
    resumed = cluster.hpcnn("resume", str(run.path), "--time", "4", "--wait", cwd=run.path.parent)
    assert resumed.returncode == 0, resumed.stderr + _log(run)
    assert _epochs(run, 0) == list(range(1, 20001))
    again = cluster.hpcnn("resume", str(run.path), cwd=run.path.parent)
    assert again.returncode == 2
    assert "completed" in again.stderr


def test_a_killed_rank_ends_the_job(cluster: Cluster, mpi: None, run: RunDir) -> None:
    folder = run.path.parent
    _submit(cluster, run, *_TWO_NODES, "--", sys.executable, "-c", _RANK, str(folder))
    wait_for(lambda: (folder / "rank0").exists() and (folder / "rank1").exists())
    os.kill(int((folder / "rank1").read_text()), signal.SIGKILL)
    killed = time.monotonic()
    ended = cluster.hpcnn("logs", "-f", str(run.path), seconds=180)
    # Open MPI 5 lets the other rank end with status 14 when the connection breaks, and srun may report that.
    assert ended.returncode in (128 + signal.SIGKILL, 14, 128 + signal.SIGTERM), ended.stdout
    assert time.monotonic() - killed < 90
    result = run.read_result()
    assert result is not None
    assert (result["status"], result["exit_code"]) == ("failed", ended.returncode)


def test_a_training_goes_on_elsewhere_when_a_node_has_died(cluster: Cluster, mpi: None, run: RunDir) -> None:
    if not cluster.own:
        pytest.skip("a testbed that others may use keeps its nodes")
    _submit(cluster, run, *_TWO_NODES, *_TRAINING, "--epochs", "15", "--requeue")
    wait_for(lambda: len(_epochs(run, 0)) >= 2 and run.state.exists(), 180)
    hosts = [host["host"] for host in json.loads(run.provenance.read_text())["hosts"]]
    number = int(hosts[1].removeprefix("c"))
    testbed.kill_node(cluster.bed, number)
    _go_fast(run)
    try:
        # when the controller misses the node, it requeues the job
        wait_for(lambda: cluster.state(_job(run)) == "PENDING", 180)
        assert cluster.status(_job(run))[0]["status"] == "pending"
        cluster.slurm("scontrol", "update", f"JobId={_job(run)}", "StartTime=now")
        watched = cluster.hpcnn("logs", "-f", str(run.path), seconds=240)
        assert watched.returncode == 0, _log(run)
    finally:
        testbed.start_node(cluster.bed, number)
        wait_for(lambda: testbed.idle_nodes(cluster.bed) == 3, 180)
    assert _epochs(run, 0) == list(range(1, 16))
    after = [host["host"] for host in json.loads(run.provenance.read_text())["hosts"]]
    assert f"c{number}" not in after
