"""Which MPI an mpirun belongs to, as it says itself: launchers of different MPIs take different options.

An MPI is written as its name and version, ``Open MPI 4.1.8``, or as its name alone where nobody knows the version.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from hpcnn.scheduler import scheduler_of
from hpcnn.sites.profile import Site

# What the key `mpi` of a site profile may name, besides `auto`.
_NAMES = {"openmpi": "Open MPI", "mpich": "MPICH", "intelmpi": "Intel MPI"}
_VERSIONS = (
    ("Open MPI", re.compile(r"\(Open MPI\) (\S+)")),
    ("Intel MPI", re.compile(r"Intel\(R\) MPI Library.*Version (\S+)")),
    ("MPICH", re.compile(r"HYDRA build details:\s+Version:\s+(\S+)")),
)


def mpi_of(site: Site, environment: Mapping[str, str]) -> str | None:
    """Return the MPI whose mpirun starts the ranks of a site's jobs; None where nobody can know.

    The profile names it, else mpirun is asked: that of this machine, where the job runs on this machine.
    """
    if site.mpi in _NAMES:
        return _NAMES[site.mpi]
    if site.launcher != "mpirun" or not scheduler_of(site.scheduler).this_machine_only:
        return None
    mpirun = find_mpirun(environment)
    return ask_mpi(mpirun) if mpirun else None


def find_mpirun(environment: Mapping[str, str]) -> str | None:
    """Return the mpirun of a job: this Python environment's own, else the first on PATH."""
    own = str(Path(sys.executable).parent)
    return shutil.which("mpirun", path=os.pathsep.join((own, environment.get("PATH", os.defpath))))


@cache  # a study renders hundreds of scripts
def ask_mpi(mpirun: str) -> str | None:
    """Return the MPI of a program ``mpirun``, which is run to say it; None if it fails, or for an unknown MPI."""
    try:
        ended = subprocess.run([mpirun, "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(ended.stdout + ended.stderr)


def parse_version(text: str) -> str | None:
    """Parse the output of ``mpirun --version``: return for example ``Open MPI 4.1.8``; None for an unknown MPI."""
    found = ((name, pattern.search(text)) for name, pattern in _VERSIONS)
    return next((f"{name} {version[1]}" for name, version in found if version), None)


def flavour(mpi: str) -> str:
    """Return the name of an MPI: ``Open MPI`` of ``Open MPI 4.1.8``."""
    return re.sub(r" v?\d\S*$", "", mpi)


def major(mpi: str) -> int:
    """Return the major version of an MPI: 4 of ``Open MPI 4.1.8``; 0 without one."""
    found = re.search(r" v?(\d+)", mpi)
    return int(found[1]) if found else 0
