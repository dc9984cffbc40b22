"""A run whose ranks are not those that were asked for stops at once, saying why: it would measure something else."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from tests.train.cases import MOMENTUM
from tests.train.launching import HPCNN, USER, Command, Process, options_of

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

HOROVOD = options_of(replace(MOMENTUM, strategy="horovod"))


def failed_for(run: RunDir) -> str:
    """Return the reason that the first rank left of a run that must have failed before its first epoch."""
    assert not run.epoch_files()
    return str(run.failures()[0]["reason"])


def test_processes_that_each_believe_to_be_alone(hpcnn: Command, hpcnn_process: Process, tmp_path: Path) -> None:
    """What srun gives with the wrong --mpi: each process is rank 0 of 1, and would train all of it by itself."""
    run = RunDir(tmp_path / "run")
    words = ("train", "--run-dir", run.path, *HOROVOD)
    run.path.mkdir()
    begun = hpcnn("record", "begin", "--run-dir", run.path, "--pid", os.getpid())  # as the job script does
    of_job = {"HPCNN_WORLD_SIZE": "2", "HPCNN_RUN_OWNER": begun.stdout.strip()}
    processes = [hpcnn_process(*words, cwd=USER, **of_job) for _ in range(2)]
    errors = [process.communicate(timeout=180)[1] for process in processes]

    assert [process.returncode for process in processes] == [1, 1]
    for text in (*errors, failed_for(run)):
        assert "2 ranks were asked for, but strategy 'horovod' found 1 (this is rank 0)" in text
        assert "srun another --mpi" in text
        assert "Traceback" not in text
    result = run.read_result() or {}
    assert (result["status"], result["exit_code"]) == ("failed", 1)


@pytest.mark.parametrize(
    ("ranks", "strategy", "world_size", "message"),
    [
        (2, "serial", None, "1 rank was asked for, but strategy 'serial' found 2"),
        (3, "horovod", "2", "2 ranks were asked for, but strategy 'horovod' found 3"),
        (2, "multiworker", "3", "3 ranks were asked for, but strategy 'multiworker' found 2"),
    ],
)
def test_a_launcher_that_starts_another_number(
    ranks: int, strategy: str, world_size: str | None, message: str, mpirun: Command, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    asked = {"HPCNN_WORLD_SIZE": world_size} if world_size else {}
    words = (HPCNN, "train", "--run-dir", run.path, *options_of(replace(MOMENTUM, strategy=strategy)))
    result = mpirun(ranks, *words, cwd=USER, **asked)

    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert message in failed_for(run)
    if world_size is None:
        assert "for several ranks: --strategy horovod" in result.stderr


def test_one_rank_that_cannot_start_ends_the_others(mpirun: Command, tmp_path: Path) -> None:
    """Here it was promised another world size; it might as well lack a GPU. The other is already waiting for it."""
    run = RunDir(tmp_path / "run")
    words = (HPCNN, "train", "--run-dir", run.path, *HOROVOD)
    other = '[ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 1 ] && export HPCNN_WORLD_SIZE=5'
    each = f"{other}; exec {shlex.join(map(str, words))}"
    result = mpirun(2, "sh", "-c", each, cwd=USER, HPCNN_WORLD_SIZE="2")

    assert result.returncode == 1
    assert "5 ranks were asked for" in result.stderr
    assert run.failures()[0]["rank"] == 1
