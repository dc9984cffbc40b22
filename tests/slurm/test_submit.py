"""Jobs through a real sbatch on a real cluster of three nodes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hpcnn.machine.smoke import weights
from hpcnn.rundir.layout import RunDir
from tests.slurm.conftest import AFTER_TRAINING, TRAINING, Cluster, Weights, wait_for

pytestmark = pytest.mark.slurm

_ARGUMENTS = ["a b", "it's", '"quoted"', "$HOME", "`id`", "#SBATCH --array=0-9", "back\\slash", "-n", "", "Łódź", "x;y"]


@pytest.mark.slow
@pytest.mark.mpi
@pytest.mark.parametrize("nodes", [2, 3])
def test_ranks_on_several_nodes_train_what_one_machine_trains(
    cluster: Cluster, mpi: None, weights_of_one_machine: Weights, keep: Path, nodes: int
) -> None:
    ranks = ("--nodes", str(nodes), "--ntasks-per-node", "1", "--cpus-per-task", "1")
    far = cluster.submit("--run-dir", str(keep / "far"), *ranks, *TRAINING, "--wait", seconds=240)
    assert far.returncode == 0, far.stdout + far.stderr + RunDir(keep / "far").log.read_text()
    ours = weights(keep / "far" / AFTER_TRAINING)
    assert max(np.abs(ours[name] - weights_of_one_machine[name]).max() for name in ours) < 5e-5
    provenance = json.loads((keep / "far" / "provenance.json").read_text())
    assert {host["host"] for host in provenance["hosts"]} == {f"c{number}" for number in range(1, nodes + 1)}
    assert provenance["world_size"] == nodes


def test_a_failing_program_gives_its_exit_status(cluster: Cluster, keep: Path) -> None:
    run = cluster.submit("--run-dir", str(keep / "run"), "--wait", "--", "sh", "-c", "exit 7")
    assert run.returncode == 7, run.stderr
    result = RunDir(keep / "run").read_result()
    assert result is not None
    assert (result["status"], result["exit_code"]) == ("failed", 7)


def test_any_argument_and_variable_arrives_unchanged(cluster: Cluster, keep: Path) -> None:
    """Through sbatch's own parser of directives, the script, and srun on another node."""
    show = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['ODD'], os.environ['SLURM_JOB_NAME']]))"
    odd = "a b,c='d' \"e\" $f"
    run = cluster.submit(
        *("--run-dir", str(keep / "a run"), "--name", odd, "--env", f"ODD={odd}", "--wait", "--"),
        *("python3", "-c", show, *_ARGUMENTS),
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(RunDir(keep / "a run").log.read_text().splitlines()[-1]) == [_ARGUMENTS, odd, odd]


def test_a_line_break_cannot_bring_in_a_directive(cluster: Cluster, keep: Path) -> None:
    run = cluster.submit("--run-dir", str(keep / "run"), "--name", "x\n#SBATCH --array=0-9", "--", "true")
    assert run.returncode == 2
    assert "line break" in run.stderr
    assert not (keep / "run").exists()


def _printed(run: Path) -> list[str]:
    """Return what the ranks printed, sorted. The last line of the log is hpcnn's: that the ranks never met."""
    *lines, note = RunDir(run).log.read_text().splitlines()
    assert note.startswith("Warning: none of the ")
    return sorted(lines)


def test_each_rank_sees_the_gpus_of_its_node(cluster: Cluster, keep: Path) -> None:
    """Fake GPUs, which are device files: Slurm itself sets CUDA_VISIBLE_DEVICES."""
    show = "echo $(hostname) $SLURM_LOCALID $CUDA_VISIBLE_DEVICES"
    ranks = ("--nodes", "2", "--ntasks-per-node", "2", "--gpus-per-node", "2", "--cpus-per-task", "1")
    run = cluster.submit("--run-dir", str(keep / "run"), *ranks, "--wait", "--", "sh", "-c", show)
    assert run.returncode == 0, run.stderr
    lines = _printed(keep / "run")
    assert lines == ["c1 0 0,1", "c1 1 0,1", "c2 0 0,1", "c2 1 0,1"]


def test_a_cancelled_job_is_interrupted(cluster: Cluster, keep: Path) -> None:
    submitted = cluster.submit("--run-dir", str(keep / "run"), "--", "sleep", "600")
    job = submitted.stdout.split()[1]
    wait_for(lambda: cluster.status(job)[0]["status"] == "running")
    assert cluster.hpcnn("cancel", str(keep / "run")).stdout.strip() == f"cancelled: {job}"
    followed = cluster.hpcnn("logs", "-f", str(keep / "run"))
    assert followed.returncode != 0
    assert cluster.status(str(keep / "run"))[0]["status"] == "interrupted"


def test_a_job_waits_for_another(cluster: Cluster, keep: Path) -> None:
    stamp = str(keep / "stamp")
    first = cluster.submit("--run-dir", str(keep / "one"), "--", "sh", "-c", f"sleep 3; echo one >> {stamp}")
    job = first.stdout.split()[1]
    words = ("--run-dir", str(keep / "two"), "--after", job, "--wait", "--", "sh", "-c", f"echo two >> {stamp}")
    second = cluster.submit(*words)
    assert second.returncode == 0, second.stderr
    assert Path(stamp).read_text().split() == ["one", "two"]


def test_what_a_surrounding_job_set_does_not_reach_the_new_one(cluster: Cluster, keep: Path) -> None:
    show = "echo ${SLURM_CPU_BIND:-none} $SLURM_JOB_NUM_NODES"
    inherited = {"SLURM_CPU_BIND": "map_cpu:0", "SBATCH_PARTITION": "nowhere", "SLURM_JOB_NUM_NODES": "9"}
    run = cluster.submit("--run-dir", str(keep / "run"), "--wait", "--", "sh", "-c", show, **inherited)
    assert run.returncode == 0, run.stderr
    assert RunDir(keep / "run").log.read_text().split() == ["none", "1"]


def test_the_scheduler_says_when_a_job_would_start(cluster: Cluster, keep: Path) -> None:
    good = cluster.submit("--run-dir", str(keep / "run"), "--nodes", "2", "--ntasks", "2", "--test-only")
    assert good.returncode == 0, good.stderr
    assert "to start at" in good.stdout
    bad = cluster.submit("--run-dir", str(keep / "run"), "--partition", "nowhere", "--test-only")
    assert bad.returncode == 1
    assert "invalid partition" in bad.stderr
    assert not (keep / "run").exists()


def test_a_job_that_slurm_refuses_is_recorded_as_failed(cluster: Cluster, keep: Path) -> None:
    run = cluster.submit("--run-dir", str(keep / "run"), "--partition", "nowhere", "--", "true")
    assert run.returncode == 1
    assert "invalid partition" in run.stderr
    result = RunDir(keep / "run").read_result()
    assert result is not None
    assert result["status"] == "failed"
    assert "invalid partition" in result["reason"]


def test_a_job_that_slurm_does_not_know_is_unknown(cluster: Cluster) -> None:
    assert cluster.status("987654")[0]["status"] == "unknown"
    assert cluster.hpcnn("cancel", "987654").returncode == 2


def test_the_script_that_ran_is_the_one_of_the_dry_run(cluster: Cluster, keep: Path) -> None:
    words = ("--run-dir", str(keep / "run"), "--nodes", "2", "--ntasks", "2", "--")
    shown = cluster.submit("--dry-run", *words, "hostname")
    assert not (keep / "run").exists()
    assert cluster.submit("--wait", *words, "hostname").returncode == 0
    assert (keep / "run" / "job.sh").read_text() == shown.stdout
    assert _printed(keep / "run") in (["c1", "c2"], ["c1", "c3"], ["c2", "c3"])  # Slurm chooses two of its nodes
