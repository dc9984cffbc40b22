"""What the scheduler alone knows of the end of a job comes into the record of its run, and into no other."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from hpcnn.jobs.ended import settle
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.owner import begin
from hpcnn.scheduler.api import JobState

KILLED = JobState("12_3", "failed", "OUT_OF_MEMORY", nodes="c[07-09],d1", exit_code=137)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A run whose job script was killed while it was at work, as task 3 of job 12 on node c07."""
    found = RunDir(tmp_path / "run")
    found.create()
    job = {"SLURM_JOB_ID": "15", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3", "SLURMD_NODENAME": "c07"}
    with monkeypatch.context() as own:
        own.delenv("HPCNN_RUN_OWNER", raising=False)
        for name, value in job.items():
            own.setenv(name, value)
        begin(found.path, os.getpid())
    file = found.path / "owner-1.json"
    record = json.loads(file.read_text())
    record["processes"] = [{"host": "c07", "boot": "other", "namespace": "other", "pid": 7, "start": "1"}]
    file.write_text(json.dumps(record))
    return found


def record(run: RunDir) -> tuple[object, ...] | None:
    result = run.read_result()
    return result and (result["status"], result["exit_code"], result["reason"])


@pytest.mark.parametrize(
    ("said", "recorded"),
    [
        ({}, ("failed", 137, "out of memory: Slurm says OUT_OF_MEMORY")),
        ({"nodes": "c07"}, ("failed", 137, "out of memory: Slurm says OUT_OF_MEMORY")),
        ({"nodes": "c07,d[1-2]"}, ("failed", 137, "out of memory: Slurm says OUT_OF_MEMORY")),
        ({"state": "TIMEOUT", "status": "interrupted"}, ("interrupted", 137, "Slurm says TIMEOUT")),
        ({"state": "TIMEOUT", "status": "interrupted", "exit_code": 0}, ("interrupted", 143, "Slurm says TIMEOUT")),
        ({"state": "NODE_FAIL", "exit_code": None}, ("failed", 1, "Slurm says NODE_FAIL")),
        ({"state": "CANCELLED by 0", "status": "interrupted"}, ("interrupted", 137, "Slurm says CANCELLED by 0")),
        ({"state": "RUNNING", "status": "running"}, None),
        ({"state": "COMPLETED", "status": "completed"}, None),
        ({"no_answer": "no answer from sacct: why"}, None),
        ({"queue_answered": False}, None),
        ({"job_id": "13"}, None),
        ({"nodes": "other[07-09]"}, None),  # of another cluster, which has a job of this id too
        ({"nodes": ""}, None),
    ],
)
def test_a_job_that_was_killed_gets_the_record_that_it_could_not_write(
    run: RunDir, said: dict[str, object], recorded: tuple[object, ...] | None
) -> None:
    for _ in range(2):
        settle(run, dataclasses.replace(KILLED, **said))
        assert record(run) == recorded
    assert bool(list(run.path.glob("owner-*.json"))) == (recorded is None)


def test_a_job_that_never_began_gets_none(run: RunDir) -> None:
    (run.path / "owner-1.json").unlink()
    settle(run, KILLED)
    assert record(run) is None


@pytest.mark.parametrize("status", ["completed", "interrupted", "failed"])
def test_of_a_record_that_is_there_only_the_cause_of_a_failure_changes(run: RunDir, status: str) -> None:
    run.write_result(status, exit_code=5, reason="why")
    settle(run, KILLED)
    cause = "out of memory: Slurm says OUT_OF_MEMORY; " if status == "failed" else ""
    assert record(run) == (status, 5, f"{cause}why")
    settle(run, dataclasses.replace(KILLED, state="NODE_FAIL"))
    assert record(run) == (status, 5, f"{cause}why")


def test_another_attempt_is_left_alone(run: RunDir) -> None:
    (run.path / "owner-2.json").write_text((run.path / "owner-1.json").read_text().replace("12_3", "16"))
    run.write_result("failed", exit_code=1, reason="why")
    settle(run, KILLED)
    assert record(run) == ("failed", 1, "why")


def test_nor_is_anything_written_where_nothing_may_be(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.link", refused)
    settle(run, KILLED)
    assert record(run) is None
