"""Memory that ran out is told from other ends of a job by what Slurm and the kernel leave behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcnn.rundir.close import finish, name_cause
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.memory import ran_out_of_memory

SAID = "slurmstepd: error: Detected 1 oom_kill event in StepId=12.0. Some of the step tasks have been OOM Killed.\n"
OLDER = "slurmstepd: error: Detected 1 oom-kill event(s) in step 12.0 cgroup.\n"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    found = RunDir(tmp_path / "run")
    found.create()
    return found


@pytest.mark.parametrize("line", [SAID, OLDER])
def test_the_daemon_of_a_step_says_so(run: RunDir, line: str) -> None:
    run.log.write_text("epoch 1\n" * 20000 + line + "srun: error: c1: task 0: Out Of Memory\n")
    assert ran_out_of_memory(run, {})
    assert ran_out_of_memory(run, {"SLURM_JOB_ID": "12"})
    assert not ran_out_of_memory(run, {"SLURM_JOB_ID": "13"})  # of an earlier attempt
    finish(run.path, 137)
    result = run.read_result()
    assert result is not None
    assert result["status"] == "failed"
    assert str(result["reason"]).startswith("out of memory: a process needed more than the job had; the launcher ended")


def test_a_killed_rank_alone_does_not(run: RunDir) -> None:
    run.log.write_text("slurmstepd: error: *** STEP 12.0 ON c1 CANCELLED ***\nan oom_kill event in my own words\n")
    assert not ran_out_of_memory(run, {})
    run.log.unlink()
    assert not ran_out_of_memory(run, {})
    finish(run.path, 137)
    assert (run.read_result() or {})["reason"] == "ended by SIGKILL"


@pytest.mark.parametrize(("kills", "version"), [(0, 2), (1, 2), (0, 1), (1, 1)])
def test_the_control_group_of_the_job_counts(run: RunDir, tmp_path: Path, kills: int, version: int) -> None:
    (tmp_path / "self").mkdir()
    line = "0::/slurm/job_12/step_batch/user" if version == 2 else "4:memory:/slurm/job_12/step_batch"
    (tmp_path / "self" / "cgroup").write_text(f"11:cpuset:/slurm/job_12\n{line}\n")
    group = tmp_path / "cgroups" / ("slurm" if version == 2 else "memory/slurm") / "job_12"
    (group / "step_0").mkdir(parents=True)
    if version == 2:
        (group / "memory.events").write_text(f"low 0\noom 3\noom_kill {kills}\n")
    else:
        (group / "step_0" / "memory.oom_control").write_text(f"under_oom 0\noom_kill {kills}\n")
    told = ran_out_of_memory(run, {"SLURM_JOB_ID": "12"}, tmp_path, tmp_path / "cgroups")
    assert told == bool(kills)
    assert not ran_out_of_memory(run, {}, tmp_path, tmp_path / "cgroups")


def test_the_schedulers_cause_comes_before_the_reason_on_record(run: RunDir) -> None:
    run.write_result("failed", exit_code=137, reason="ended by SIGKILL")
    for _ in range(2):
        name_cause(run, "out of memory: Slurm says OUT_OF_MEMORY")
        assert (run.read_result() or {})["reason"] == "out of memory: Slurm says OUT_OF_MEMORY; ended by SIGKILL"
