"""Inspect the launchers of this machine: its mpirun, and the process-management interfaces of its srun."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from hpcnn.jobs.mpi import ask_mpi, find_mpirun
from hpcnn.scheduler import scheduler_of
from hpcnn.sites.profile import Site
from hpcnn.version import __version__


@dataclass(frozen=True)
class Host:
    """The machine outside the image.

    mpirun: ``Open MPI 4.1.4``, or None. mpi_types: valid values of ``srun --mpi``, or None without srun. mpi_default:
    srun's default value.
    """

    hpcnn: str
    mpirun: str | None
    mpi_types: tuple[str, ...] | None
    mpi_default: str


def inspect_host(site: Site) -> Host:
    """Return the launchers of this machine for jobs of ``site``. Runs srun and scontrol if they are installed."""
    # A job script of a machine without a scheduler puts this Python's own programs first in PATH.
    here = scheduler_of(site.scheduler).this_machine_only
    program = find_mpirun(os.environ) if here else shutil.which("mpirun")
    mpirun = ask_mpi(program) if program else None
    if shutil.which("srun") is None:
        return Host(__version__, mpirun, None, "")
    default = re.search(r"^MpiDefault\s*=\s*(\S+)", _printed("scontrol", "show", "config"), re.MULTILINE)
    return Host(__version__, mpirun, mpi_types(_printed("srun", "--mpi=list")), default[1] if default else "")


def mpi_types(listed: str) -> tuple[str, ...]:
    """Parse the output of ``srun --mpi=list``: return the plugins, and the versions of PMIx among them.

    The form is that of Slurm 20.11 and later: one per line below a heading, then "specific pmix plugin versions
    available: pmix_v3,pmix_v4"; earlier ones put "srun: " before each line.
    """
    found = []
    for line in listed.replace("srun: ", "").splitlines():
        heading, colon, versions = line.partition("available:")
        if colon and "pmix" in heading:
            found += [word.strip() for word in versions.split(",")]
        elif re.fullmatch(r"\s*\w+", line):
            found.append(line.strip())
    return tuple(dict.fromkeys(found))


def _printed(*command: str) -> str:
    """Return the output of a command on both streams; empty if it failed."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ended.stdout + ended.stderr
