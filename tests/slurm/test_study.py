"""Studies as job arrays on a real cluster of three nodes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpcnn.rundir.layout import RunDir
from tests.slurm.conftest import Cluster, wait_for

pytestmark = pytest.mark.slurm

# Each rank says where it is, waits while the file `wait` is there, and fails if there is a file `fail`.
PROGRAM = """
import os, pathlib, socket, sys, time
here = pathlib.Path(os.environ["FLAGS"])
with (here / "ran").open("a") as file:
    file.write(os.environ.get("SLURM_ARRAY_TASK_ID", "none") + " " + socket.gethostname() + "\\n")
while (here / "wait").exists():
    time.sleep(0.1)
if (here / "fail").exists():
    sys.exit("out of luck")
"""


class Study:
    """A study of one and two nodes with three repeats of each, in a folder of its own, and commands on it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder, self.file = cluster, folder, folder / "two shapes.toml"
        words = json.dumps(["python3", "-c", PROGRAM])
        self.file.write_text(
            f'name = "two shapes"\nprogram = {words}\nrepeats = 3\n'
            f"[resources]\nntasks_per_node = 1\ncpus_per_task = 1\n[software.env]\nFLAGS = '{folder}'\n"
            "[axes]\nnodes = [1, 2]\n"
        )
        self.runs = folder / "runs" / "two shapes"

    def call(self, verb: str, *words: str, seconds: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
        where = ("--site", "testbed", "--runs", str(self.folder / "runs"))
        return self.cluster.hpcnn("study", verb, str(self.file), *where, *words, seconds=seconds, **variables)

    def submit(self, *words: str, **variables: str) -> list[dict[str, Any]]:
        """Submit, and return the rows of the arrays."""
        done = self.call("submit", *words, "--format", "json", **variables)
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def states(self, *words: str) -> list[dict[str, Any]]:
        done = self.call("status", "--each", "--format", "json", *words)
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def counts(self) -> dict[str, int]:
        return dict(Counter(row["status"] for row in self.states()))

    def flag(self, name: str, up: bool = True) -> None:
        if up:
            (self.folder / name).touch()
        else:
            (self.folder / name).unlink()

    def run_directories(self) -> list[str]:
        return sorted(path.name for path in self.runs.iterdir() if (path / "spec.json").exists())

    def site(self, **keys: Any) -> str:
        """Return a folder of profiles in which the testbed has further keys."""
        folder = self.folder / "config"
        (folder / "sites").mkdir(parents=True)
        text = (self.cluster.shared / "config" / "sites" / "testbed.toml").read_text()
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        (folder / "sites" / "testbed.toml").write_text(text + lines)
        return str(folder)


@pytest.fixture
def study(cluster: Cluster, keep: Path) -> Iterator[Study]:
    study = Study(cluster, keep)
    yield study
    if study.runs.exists():  # no job outlives its test
        cluster.hpcnn("cancel", str(study.runs))


def test_a_study_of_two_shapes_is_two_arrays(study: Study, cluster: Cluster) -> None:
    study.flag("wait")
    rows = study.submit()
    assert [(row["tasks"], row["nodes"], row["ntasks"]) for row in rows] == [(3, 1, 1), (3, 2, 2)]
    first, second = (row["job_id"] for row in rows)

    wait_for(lambda: study.counts().get("running", 0) >= 3)
    during = study.states()
    assert {row["status"] for row in during} <= {"running", "pending"}
    assert sorted(row["job_id"] for row in during) == [f"{job}_{task}" for job in (first, second) for task in range(3)]
    assert study.submit() == []  # all of them are in the queue

    study.flag("wait", False)
    waited = study.call("submit", "--wait")
    assert waited.returncode == 0, waited.stderr
    assert study.counts() == {"completed": 6}
    assert study.call("status", "--check").returncode == 0

    hosts = [line.split() for line in (study.folder / "ran").read_text().splitlines()]
    assert Counter(task for task, _ in hosts) == {
        "0": 3,
        "1": 3,
        "2": 3,
    }  # one rank of the first array, two of the other
    for job in (f"{first}_0", f"{second}_2"):
        (row,) = cluster.status(str(next(RunDir(r["path"]).path for r in during if r["job_id"] == job)))
        assert (row["job_id"], row["status"]) == (job, "completed")
    assert {file.read_text() for file in (study.runs / "arrays").glob("*.out")} == {""}  # nothing went wrong before


def test_tasks_are_named_by_array_and_number(study: Study, cluster: Cluster) -> None:
    study.flag("wait")
    rows = study.submit("--set", "nodes=1")
    array = rows[0]["job_id"]
    known = {"HPCNN_RUNS": str(study.folder / "runs")}
    wait_for(lambda: study.cluster.status(str(study.runs))[0]["status"] == "running")
    every = json.loads(cluster.hpcnn("status", array, "--format", "json", **known).stdout)
    assert [row["job_id"] for row in every] == [f"{array}_{task}" for task in range(3)]
    one = json.loads(cluster.hpcnn("status", f"{array}_1", "--format", "json", **known).stdout)
    assert [row["job_id"] for row in one] == [f"{array}_1"]
    elsewhere = cluster.status(array)  # where no run is known by this id, Slurm's word on all of its tasks
    assert [(row["job_id"], row["status"], row["run"]) for row in elsewhere] == [(array, "running", None)]

    assert "array of 3 tasks" in cluster.hpcnn("logs", array, **known).stderr
    assert cluster.hpcnn("cancel", f"{array}_1", **known).stdout.strip() == f"cancelled: {array}_1"
    wait_for(lambda: study.states("--set", "nodes=1")[1]["status"] == "interrupted")
    assert cluster.hpcnn("cancel", str(study.runs), **known).stdout.strip() == f"cancelled: {array}_[0,2]"
    wait_for(lambda: {row["status"] for row in study.states("--set", "nodes=1")} == {"interrupted"})
    followed = cluster.hpcnn("logs", "-f", f"{array}_0", **known)
    assert followed.returncode != 0


def test_pending_tasks_that_are_cancelled_are_interrupted_and_submitted_again(study: Study, cluster: Cluster) -> None:
    study.submit("--sbatch-option", "begin=now+1hour")
    more = ("--sbatch-option", "begin=now+1hour")
    assert {row["status"] for row in study.states(*more)} == {"pending"}
    assert cluster.hpcnn("cancel", str(study.runs)).returncode == 0
    assert {(row["status"], row["reason"]) for row in study.states(*more)} == {
        ("interrupted", "cancelled before it started")
    }
    assert [row["tasks"] for row in study.submit(*more)] == [3, 3]
    assert len(study.run_directories()) == 12  # each attempt is kept
    assert cluster.hpcnn("cancel", str(study.runs)).returncode == 0


def test_arrays_are_as_long_as_the_site_allows(study: Study) -> None:
    rows = study.submit("--wait", "--max-concurrent", "1", HPCNN_CONFIG=study.site(array_limit=2))
    assert [row["tasks"] for row in rows] == [2, 1, 2, 1]
    assert study.counts() == {"completed": 6}
    assert "#SBATCH --array=0-1%1\n" in rows[0]["text"]


def test_a_site_without_arrays_gets_single_jobs(study: Study) -> None:
    rows = study.submit("--wait", HPCNN_CONFIG=study.site(arrays=False))
    assert [row["tasks"] for row in rows] == [1] * 6
    assert study.counts() == {"completed": 6}
    assert {line.split()[0] for line in (study.folder / "ran").read_text().splitlines()} == {"none"}
    assert not (study.runs / "arrays").exists()


def test_what_failed_is_submitted_again_and_nothing_else(study: Study) -> None:
    assert [row["tasks"] for row in study.submit("--set", "repeats=1", "--wait")] == [1, 1]
    study.flag("fail")
    failed = study.call("submit", "--wait")
    assert failed.returncode == 1, failed.stderr
    counts = study.counts()
    # of two ranks on two nodes that fail at the same time, srun may say that it ended one itself
    assert counts.pop("completed") == 2
    assert set(counts) <= {"failed", "interrupted"}
    assert all(row["reason"] for row in study.states() if row["status"] != "completed")
    assert (
        "out of luck"
        in RunDir(next(row["path"] for row in study.states() if row["status"] == "failed")).log.read_text()
    )
    assert study.call("status", "--check").returncode == 1

    study.flag("fail", False)
    assert [row["tasks"] for row in study.submit("--wait")] == [2, 2]
    assert study.counts() == {"completed": 6}
    assert Counter(name.endswith("~1") for name in study.run_directories()) == {False: 6, True: 4}


def test_a_run_that_was_cut_off_is_the_same_run_with_more_time(study: Study, cluster: Cluster) -> None:
    study.flag("wait")
    one = ("--set", "nodes=1", "--set", "repeats=1")
    study.submit(*one, "--time", "1")
    wait_for(lambda: (study.folder / "ran").exists())
    (row,) = study.states(*one)
    # what Slurm does before the limit, and at it
    cluster.slurm("scancel", "--batch", "--signal=USR2", str(row["job_id"]))
    wait_for((Path(row["path"]) / "stop").exists)  # the signal reaches the run's own script
    cluster.slurm("scancel", str(row["job_id"]))
    wait_for(lambda: study.states(*one)[0]["status"] == "interrupted")
    study.flag("wait", False)
    assert [row["tasks"] for row in study.submit(*one, "--time", "5", "--wait")] == [1]
    assert [row["status"] for row in study.states(*one)] == ["completed"]


def test_an_array_that_slurm_refuses_leaves_no_trace_but_its_script(study: Study, cluster: Cluster) -> None:
    """The second of two arrays asks for a partition that there is not."""
    words = ("--set", "nodes=1", "--set", "partition=[cpu,nowhere]")
    refused = study.call("submit", *words)
    assert refused.returncode == 1
    assert "3 of 6 runs are submitted" in refused.stderr
    assert "sbatch refuses: " in refused.stderr
    assert len(study.run_directories()) == 3
    records = [json.loads(file.read_text()) for file in sorted((study.runs / "arrays").glob("*.json"))]
    assert [record["job_id"] is None for record in records] == [False, True]
    assert "sbatch refuses" in records[1]["error"]
    assert Counter(row["status"] for row in study.states(*words))["missing"] == 3
    # the same command goes on: nothing of the first array is submitted again
    again = study.call("submit", *words)
    assert again.returncode == 1
    assert "0 of 3 runs are submitted" in again.stderr


def test_no_more_than_the_site_lets_a_user_have(study: Study) -> None:
    study.flag("wait")
    wait_for(lambda: _jobs_in_queue(study) == 0)  # another test's jobs that end in between would make room
    config = study.site(submit_limit=4)
    first = study.call("submit", HPCNN_CONFIG=config)
    assert first.returncode == 0
    assert "2 runs are left for later: site testbed takes " in first.stderr
    second = study.call("submit", HPCNN_CONFIG=config)
    assert (second.returncode, second.stdout) == (1, "")
    study.flag("wait", False)
    assert study.call("submit", "--wait", HPCNN_CONFIG=study.cluster.environment["HPCNN_CONFIG"]).returncode == 0
    assert study.counts() == {"completed": 6}


def _jobs_in_queue(study: Study) -> int:
    words = ["squeue", "--noheader", "--array", "--format=%i"]
    return len(subprocess.run(words, env=study.cluster.environment, capture_output=True, check=True).stdout.split())


def test_an_interrupted_wait_leaves_the_jobs(study: Study) -> None:
    study.flag("wait")
    words = ("study", "submit", str(study.file), "--site", "testbed", "--runs", str(study.folder / "runs"), "--wait")
    waiting = subprocess.Popen(
        [sys.executable, "-m", "hpcnn", *words],
        cwd=study.folder,
        env=study.cluster.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    wait_for(lambda: study.runs.exists() and study.counts().get("running", 0) > 0)
    time.sleep(2)  # let it get from submitting to waiting
    waiting.send_signal(signal.SIGINT)
    _, errors = waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert "no longer waiting; the jobs go on" in errors
    assert set(study.counts()) <= {"running", "pending"}
    study.flag("wait", False)
    assert study.call("submit", "--wait").returncode == 0


def test_slurm_is_asked_when_each_array_would_start(study: Study) -> None:
    done = study.call("submit", "--test-only")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("to start at") == 2
    assert not study.runs.exists()
    assert "invalid partition" in study.call("submit", "--test-only", "--partition", "nowhere").stderr


def test_nothing_is_submitted_while_squeue_does_not_answer(study: Study, tmp_path: Path) -> None:
    """A job that cannot be asked for is not taken for dead: it would run twice."""
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "squeue").write_text("#!/bin/sh\necho 'squeue: error: Unable to contact slurm controller' >&2\nexit 1\n")
    (broken / "squeue").chmod(0o755)
    done = study.call("submit", PATH=f"{broken}:{study.cluster.environment['PATH']}")
    assert done.returncode == 1
    assert "Unable to contact slurm controller" in done.stderr
    assert not study.runs.exists()


@pytest.mark.slow
@pytest.mark.mpi
def test_a_training_on_one_and_two_nodes_gives_a_scaling_table(cluster: Cluster, mpi: None, keep: Path) -> None:
    changes = ("repeats=1", "epochs=3", "samples=1437", "nodes=[1,2]", "ntasks_per_node=1", "ntasks=1")
    words = ("smoke", "--site", "testbed", "--runs", str(keep), *(w for change in changes for w in ("--set", change)))
    done = cluster.hpcnn("study", "submit", *words, "--wait", seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr
    report = cluster.hpcnn("scaling-report", str(keep / "smoke"), "--format", "json")
    assert report.returncode == 0, report.stderr
    assert [row["ranks"] for row in json.loads(report.stdout)] == [1, 2]
    shutil.rmtree(keep / "smoke")
