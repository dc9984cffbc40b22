"""A shell that is a task of srun is no launcher of what is typed in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpcnn.parallel.launcher import forget_the_shells_task, launched_by

TASK = {
    "SLURM_JOB_ID": "2",
    "SLURM_JOB_NODELIST": "c1",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_TASK_PID": "7001",
    "PMIX_RANK": "0",
    "PMIX_NAMESPACE": "slurm.pmix.2.0",
    "PMI_RANK": "0",
}
JOB = {"SLURM_JOB_ID": "2", "SLURM_JOB_NODELIST": "c1"}


def process(proc: Path, *words: str, terminal: int = 34819, pid: int = 7001) -> Path:
    """Write what proc(5) has of a process; return its folder of all processes."""
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
    (folder / "stat").write_text(f"{pid} (a (b) c) S 6991 {pid} {pid} {terminal} {pid} 4194304")
    return proc


@pytest.mark.parametrize("words", [["bash"], ["-bash"], ["/bin/zsh", "-l"], ["bash", "--rcfile", "x", "-i"]])
def test_at_a_prompt_the_shells_task_is_forgotten(tmp_path: Path, words: list[str]) -> None:
    environment = dict(TASK)
    forget_the_shells_task(environment, process(tmp_path, *words))
    assert environment == JOB
    assert launched_by(environment) is None


@pytest.mark.parametrize(
    ("words", "terminal"),
    [
        (["bash"], 0),  # no terminal: nobody types
        (["bash", "-c", "python x.py; date"], 34819),
        (["bash", "-lc", "python x.py"], 34819),
        (["bash", "job.sh"], 34819),
        (["python", "x.py"], 34819),
        (["apptainer", "exec", "image"], 34819),
    ],
)
def test_ranks_are_ranks(tmp_path: Path, words: list[str], terminal: int) -> None:
    environment = dict(TASK)
    forget_the_shells_task(environment, process(tmp_path, *words, terminal=terminal))
    assert environment == TASK


def test_the_task_itself_and_ranks_of_mpirun_are_ranks(tmp_path: Path) -> None:
    own = {**TASK, "SLURM_TASK_PID": str(os.getpid())}
    forget_the_shells_task(own, process(tmp_path, "bash", pid=os.getpid()))
    assert own["SLURM_STEP_NUM_TASKS"] == "2"
    typed = {**TASK, "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}
    forget_the_shells_task(typed, process(tmp_path, "bash"))
    assert typed["PMIX_RANK"] == "0"


def test_without_a_process_nothing_is_forgotten(tmp_path: Path) -> None:
    environment = dict(TASK)
    forget_the_shells_task(environment, tmp_path)
    assert environment == TASK
