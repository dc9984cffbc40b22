"""Each way in which Slurm ends a job, and starts it again, on a real cluster: what the record of the run says of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_json
from tests.slurm.conftest import Cluster, wait_for
from tests.testbed import cluster as testbed

pytestmark = pytest.mark.slurm

_DEAF = "trap '' TERM; for n in $(seq 200); do sleep 1; done"
_POLITE = "trap 'exit 0' TERM; sleep 200 & wait"


def _job(run: RunDir) -> str:
    return str((read_json(run.job) or {})["job_id"])


def _runs(run: RunDir) -> Callable[[], bool]:
    return lambda: run.log.exists() and "began" in run.log.read_text()


@pytest.fixture
def start(cluster: Cluster, keep: Path) -> Callable[..., RunDir]:
    def started(name: str, program: str, *options: str) -> RunDir:
        run = RunDir(keep / name)
        words = ("--run-dir", str(run.path), *options, "--", "bash", "-c", f"echo began; {program}")
        done = cluster.submit(*words, cwd=keep)
        assert done.returncode == 0, done.stderr
        return run

    return started


def _ended(cluster: Cluster, *runs: RunDir) -> None:
    """Wait until Slurm and its accounts say that the jobs of these runs have ended."""
    jobs, alive = [_job(run) for run in runs], {"RUNNING", "PENDING", "COMPLETING"}
    wait_for(lambda: not alive & {cluster.state(job) for job in jobs})
    wait_for(lambda: not alive & {cluster.status(job)[0]["slurm_state"] for job in jobs})


@pytest.mark.slow
def test_what_slurm_kills_has_a_record_that_names_the_cause(cluster: Cluster, start: Callable[..., RunDir]) -> None:
    late = start("late", _DEAF, "--time", "1")
    deaf, polite = start("deaf", _DEAF), start("polite", _POLITE)
    for run in (late, deaf, polite):
        wait_for(_runs(run))
    cluster.slurm("scontrol", "update", f"JobId={_job(late)}", "EndTime=now+1")  # its minute is over
    cluster.slurm("scancel", _job(deaf), _job(polite))
    _ended(cluster, deaf, polite, late)

    cluster.hpcnn("status", *(str(run.path) for run in (deaf, polite, late)))
    recorded = {run.path.name: run.read_result() or {} for run in (deaf, polite, late)}
    assert {name: result.get("status") for name, result in recorded.items()} == {
        "deaf": "interrupted",
        "polite": "interrupted",
        "late": "interrupted",
    }, recorded
    reasons = {name: str(result["reason"]) for name, result in recorded.items()}
    assert reasons["deaf"].startswith("Slurm says CANCELLED")
    assert "SIGTERM" in reasons["polite"]
    assert reasons["late"] == "Slurm says TIMEOUT"
    assert not any(list(run.path.glob("owner-*.json")) for run in (deaf, polite, late))


def test_a_failed_job_that_its_user_requeues_goes_on(
    cluster: Cluster, start: Callable[..., RunDir], keep: Path
) -> None:
    again = keep / "again"
    run = start("run", f"[ -e {again} ] || {{ touch {again}; exit 3; }}; sleep 8", "--requeue")
    wait_for(run.result.exists)
    assert (run.read_result() or {})["exit_code"] == 3
    _ended(cluster, run)
    cluster.slurm("scontrol", "requeue", _job(run))
    (row,) = cluster.status(str(run.path))
    assert row["status"] in ("pending", "running"), row
    refused = cluster.submit("--run-dir", str(run.path), "--", "true", cwd=keep)
    assert (refused.returncode, "still" in refused.stderr) == (2, True), refused.stderr
    cluster.wait_without_pause(_job(run), lambda: (run.read_result() or {}).get("status") == "completed", 200)


def test_ranks_get_the_environment_of_a_script_that_is_submitted_by_hand(cluster: Cluster, keep: Path) -> None:
    run = RunDir(keep / "run")
    words = ("--run-dir", str(run.path), "--dry-run", "--", "sh", "-c", "echo run=$HPCNN_RUN_DIR")
    script = keep / "by_hand.sh"
    script.write_text(cluster.submit(*words, cwd=keep).stdout)
    run.create()  # sbatch makes no folder for the log
    cluster.slurm("sbatch", "--export=NONE", str(script))
    wait_for(run.result.exists)
    assert f"run={run.path}\n" in run.log.read_text()


@pytest.mark.slow
def test_of_an_array_only_the_task_on_a_dead_node_runs_again(cluster: Cluster, keep: Path) -> None:
    if not cluster.own:
        pytest.skip("a testbed that others may use keeps its nodes")
    said = keep / "said"
    begin, waiting = f"echo began $HPCNN_RUN_DIR $(hostname) >> {said}", f"while [ -e {keep}/wait ]; do sleep 1; done"
    program = f"{begin}; {waiting}; echo ended >> {said}"
    (keep / "wait").touch()
    resources = "ntasks = 1\ncpus_per_task = 2\nrequeue = true\n"
    (keep / "mine.toml").write_text(
        f'name = "mine"\nprogram = {json.dumps(["sh", "-c", program])}\nrepeats = 3\n[resources]\n{resources}'
    )
    words = ("mine.toml", "--site", "testbed", "--runs", str(keep / "runs"))
    done = cluster.hpcnn("study", "submit", *words, cwd=keep)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: said.exists() and said.read_text().count("began") == 3)
    dead = next(line.split()[1:] for line in said.read_text().splitlines())
    number = int(dead[1].removeprefix("c"))
    testbed.kill_node(cluster.bed, number)
    try:
        run = RunDir(dead[0])
        wait_for(lambda: cluster.state(_job(run)) == "PENDING", 180)
        beside = cluster.hpcnn("study", "submit", *words, cwd=keep)
        assert "0 to submit" in beside.stderr, beside.stderr
        (keep / "wait").unlink()
        testbed.start_node(cluster.bed, number)
        wait_for(lambda: cluster.slurm("sinfo", "-h", "-n", f"c{number}", "-o", "%t").split()[0] == "idle")
        time.sleep(5)  # slurmd first clears what the dead one has left; a job that begins meanwhile does not end
        cluster.wait_without_pause(
            _job(run), lambda: len(list((keep / "runs" / "mine").glob("*/result.json"))) == 3, 240
        )
    finally:
        (keep / "wait").unlink(missing_ok=True)
        wait_for(lambda: testbed.idle_nodes(cluster.bed) == 3 and not cluster.slurm("squeue", "-h").strip(), 300)
    lines = said.read_text().splitlines()
    assert (lines.count("ended"), sum(line.startswith("began") for line in lines)) == (3, 4)
    assert sum(dead[0] in line for line in lines) == 2
    statuses = {str((read_json(file) or {})["status"]) for file in (keep / "runs" / "mine").glob("*/result.json")}
    assert statuses == {"completed"}
