"""Read this process's rank from the variables that its launcher set. Pure: the environment is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
