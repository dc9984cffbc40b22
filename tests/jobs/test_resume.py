"""Which runs are resumed: none whose job is in the queue, or may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcnn.jobs.resume import prepare_again
from hpcnn.jobs.submit import prepare, write
from hpcnn.rundir.layout import RunDir
from hpcnn.scheduler.api import NoAnswer
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.files import write_json
from tests.scheduler.commands import Commands


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A training that was submitted as job 7."""
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    job = JobSpec("mine", "generic-slurm", Resources(), TrainSpec(data="digits", epochs=7))
    write(prepare(job, tmp_path / "run"))
    run = RunDir(tmp_path / "run")
    write_json(run.job, {"job_id": "7"})
    return run


def test_a_job_that_has_left_the_queue_goes_on(run: RunDir, slurm_commands: Commands) -> None:
    slurm_commands.squeue()
    slurm_commands.sacct("7|TIMEOUT")
    prepared = prepare_again(str(run.path), {"time": "4:00:00"})
    assert (prepared.resume, prepared.job.resources.time) == (True, "4:00:00")
    assert prepared.job.train is not None
    assert prepared.job.train.epochs == 7


@pytest.mark.parametrize("has_sacct", [True, False])
def test_so_does_one_that_slurm_answers_not_to_know(run: RunDir, has_sacct: bool, slurm_commands: Commands) -> None:
    slurm_commands.squeue()
    if has_sacct:
        slurm_commands.fail("sacct")  # the queue alone says what could run twice
    assert prepare_again(str(run.path), {}).resume


@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
def test_a_job_in_the_queue_does_not(run: RunDir, state: str, slurm_commands: Commands) -> None:
    slurm_commands.squeue(f"7|{state}")
    with pytest.raises(UsageError, match=f"its job 7 is still {state.lower()}$"):
        prepare_again(str(run.path), {})


@pytest.mark.parametrize("accounts", ["", "7|NODE_FAIL"])
@pytest.mark.parametrize("how", ["fails", "is not installed"])
def test_nor_one_that_may_be_there(run: RunDir, how: str, accounts: str, slurm_commands: Commands) -> None:
    slurm_commands.sacct(*([accounts] if accounts else []))
    reason = "squeue is not on this machine"
    if how == "fails":
        slurm_commands.fail("squeue")
        reason = r"Unable to contact slurm controller \(connect failure\)"
    with pytest.raises(NoAnswer, match=f"its job 7 may still be in the queue: no answer from squeue: {reason}. Resume"):
        prepare_again(str(run.path), {})
    run.job.unlink()  # as the message says
    assert prepare_again(str(run.path), {}).resume


def test_a_completed_run_needs_no_scheduler(run: RunDir, slurm_commands: Commands) -> None:
    run.write_result("completed", exit_code=0)
    with pytest.raises(UsageError, match=r"this run has completed$"):
        prepare_again(str(run.path), {})
    assert slurm_commands.calls("squeue") == []
