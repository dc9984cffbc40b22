"""Read this process's rank from the variables that its launcher set. Pure: the environment is an argument.

A shell may be a task itself (``srun -n2 --pty bash``), whose variables are not those of ranks started in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Launched:
    """The rank of a process among those that one launcher started."""

    rank: int
    size: int
    local_rank: int
    launcher: str


# launcher -> variables of rank, size, local rank (mpirun(1) of Open MPI; Hydra's PMI; srun(1), "OUTPUT ENVIRONMENT
# VARIABLES"). mpirun comes first: inside an allocation, SLURM_PROCID is that of the batch script.
_VARIABLES = {
    "mpirun": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    "mpiexec": ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
    "srun": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
}


def launched_by(environment: Mapping[str, str]) -> Launched | None:
    """Return this process's rank and world size, or None if no launcher started it.

    A Slurm batch script has SLURM_PROCID=0 too, but no SLURM_STEP_NUM_TASKS above 1: it counts as rank 0 of 1.
    """
    for launcher, (rank, size, local_rank) in _VARIABLES.items():
        if rank in environment and size in environment:
            return Launched(
                int(environment[rank]),
                int(environment[size]),
                int(environment.get(local_rank, "0")),
                launcher,
            )
    return None


# Of a task, and what connects it to the other tasks of its step: an MPI would wait for them (srun(1), pmix, PMI).
_OF_A_TASK = ("SLURM_STEP", "PMI_", "PMIX_", "SLURM_PMIX")
_OF_MPIRUN = ("OMPI_COMM_WORLD_RANK", "MPI_LOCALRANKID")
_ALONE = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_TASK_PID", "SLURM_GTIDS")
_SHELLS = ("bash", "zsh", "sh", "dash", "ksh", "tcsh", "csh", "fish")


def forget_the_shells_task(environment: MutableMapping[str, str], proc: Path = Path("/proc")) -> None:
    """Remove the variables of a task of srun where the task is the shell at whose prompt this process was started.

    Without them the process is no rank, for hpcnn and for MPI: it does not wait for tasks that run something else.
    """
    task = environment.get("SLURM_TASK_PID", "")
    if any(name in environment for name in _OF_MPIRUN):  # a rank of an mpirun typed there
        return
    if task.isdigit() and int(task) != os.getpid() and _has_a_prompt(proc / task):
        for name in [name for name in environment if name.startswith(_OF_A_TASK) or name in _ALONE]:
            del environment[name]


def _has_a_prompt(process: Path) -> bool:
    """Return whether a process is a shell that reads commands from a terminal, as ``srun --pty`` gives one to a task.

    proc(5): the terminal is the fifth field behind the program's name in parentheses, 0 for none.
    """
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
        terminal = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[4]
    except (OSError, IndexError):
        return False
    return terminal != "0" and Path(words[0]).name.lstrip("-") in _SHELLS and not _runs_a_script(words[1:])


def _runs_a_script(options: Sequence[str]) -> bool:
    """Return whether a shell's words name a script or a command (``-c``): no prompt then."""
    files = {"--rcfile", "--init-file", "-o", "+o", "-O", "+O"}
    operands = [word for before, word in zip(["", *options], options, strict=False) if before not in files]
    return any(not word.startswith(("-", "+")) or (word[:2] != "--" and "c" in word) for word in operands)
