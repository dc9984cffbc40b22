"""Tell a login node of a cluster, where work belongs into jobs, from a machine of one's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from hpcnn.scheduler.slurm import clean_environment
from hpcnn.util.capture import captured

_SECONDS_TO_ANSWER = 10.0
# What `scontrol ping` prints of each controller that the configuration names, whether it is up or down.
_CONTROLLER = "Slurmctld("


def is_login_node(environment: Mapping[str, str]) -> bool:
    """Return whether this machine submits to a cluster of Slurm, and this process is in none of its jobs.

    Slurm's programs alone do not tell: a laptop may have them too. A cluster is one whose controller the programs know.
    """
    path = environment.get("PATH", os.defpath)
    scontrol = shutil.which("scontrol", path=path)
    if environment.get("SLURM_JOB_ID") or scontrol is None or shutil.which("sbatch", path=path) is None:
        return False
    named = environment.get("SLURM_CONF")
    if named is not None and not Path(named).is_file():  # for which scontrol would look during a minute
        return False
    try:
        done = captured([scontrol, "ping"], clean_environment(environment), _SECONDS_TO_ANSWER)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return _CONTROLLER in done.stdout
