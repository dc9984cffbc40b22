"""Read the Slurm allocation that this process is in: its nodes, and the cores of each. Must not run a command.

A shell of ``srun --pty``, ``salloc`` or ``hpcnn interact``, and a batch script, may use all that their job was given,
whatever the step that they are a task of has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Allocation:
    """The nodes of a job, the processors (hardware threads) of the smallest, and whether this process is on one.

    The shell of a plain ``salloc`` is on the login node.
    """

    nodes: int
    cpus: int
    here: bool

    @property
    def elsewhere(self) -> bool:
        """Whether there are nodes besides this machine, which only Slurm can start processes on."""
        return self.nodes > 1 or not self.here


def allocation_of(environment: Mapping[str, str]) -> Allocation | None:
    """Return the allocation of a process with this environment; None outside of jobs.

    salloc(1), srun(1) and sbatch(1), "OUTPUT ENVIRONMENT VARIABLES": those that begin with SLURM_JOB_ are the same in
    all steps. SLURMD_NODENAME is set on the nodes alone.
    """
    cpus = _numbers(environment.get("SLURM_JOB_CPUS_PER_NODE", ""))
    if not (environment.get("SLURM_JOB_ID") and environment.get("SLURM_JOB_NODELIST") and cpus):
        return None
    return Allocation(len(cpus), min(cpus), bool(environment.get("SLURMD_NODENAME")))


def _numbers(text: str) -> list[int]:
    """Return one number a node for ``8(x2),4``; nothing for a text of another form."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if match is None:
            return []
        found += [int(match[1])] * int(match[2] or 1)
    return found
