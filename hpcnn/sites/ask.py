"""Query the cluster of this login node for a profile, by Slurm's commands. Their output is parsed in ``discover``."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpcnn.scheduler import batch_scheduler
from hpcnn.sites import discover
from hpcnn.sites.discover import Cluster
from hpcnn.sites.propose import Login
from hpcnn.util.capture import captured
from hpcnn.util.errors import HpcnnError, UsageError
from hpcnn.util.user import user_name

SECONDS = 60.0
# What sites call the folders of a user on their large file systems, the usual one for runs first.
_FOLDERS = ("SCRATCH", "PSCRATCH", "CSCRATCH", "WORK", "PROJECT", "SCRATCHDIR", "WORKDIR")
_MODULES = ("apptainer", "singularity", "openmpi")


def cluster() -> Cluster:
    """Return Slurm's description of the cluster. Raises UsageError without Slurm, HpcnnError without an answer."""
    if not batch_scheduler().available() or shutil.which("sinfo") is None:
        raise UsageError("sinfo is not on this machine: ask on a login node of the cluster (here, --site local works)")
    kinds = discover.nodes(_output("sinfo", "--exact", "--noheader", f"--format={discover.SINFO_FORMAT}"))
    config = discover.config(_output("scontrol", "show", "config"))
    partitions = discover.partitions(_output("scontrol", "--oneliner", "show", "partition"), kinds)
    if not any(partition.nodes for partition in partitions):
        raise HpcnnError("sinfo shows you no partition with nodes")
    words = ["--noheader", "--parsable2", "show", "associations", f"user={user_name()}"]
    accounts = _output_if_any("sacctmgr", *words, f"format={discover.ACCOUNT_FIELDS}")
    found = Cluster(
        config=config,
        partitions=partitions,
        mpi_types=discover.mpi_types(_output_if_any("srun", "--mpi=list", both=True)),
        accounts=discover.accounts(accounts),
    )
    described = {name: _output_if_any("scontrol", "--oneliner", "show", "node", name) for name in found.examples}
    architectures = {name: discover.architecture(output) for name, output in described.items()}
    return dataclasses.replace(found, architectures=architectures)


def login(environment: Mapping[str, str]) -> Login:
    """Return the facts of this login node: its name, containers, modules, folders, network interfaces."""
    found = [name for name in ("apptainer", "singularity") if shutil.which(name)]
    # a login shell, because modules are functions that /etc/profile defines; the listing goes to standard error
    modules = _output_if_any("bash", "-lc", f"type module && module -t avail {' '.join(_MODULES)}", both=True)
    interfaces = Path("/sys/class/net")
    return Login(
        name=socket.getfqdn(),
        containers=tuple(found),
        has_modules="module is a function" in modules or "LMOD_CMD" in environment or "MODULESHOME" in environment,
        modules=tuple(line.strip() for line in modules.splitlines() if line.strip().startswith(_MODULES)),
        folders=tuple(name for name in _FOLDERS if Path(environment.get(name) or "/nowhere").is_dir()),
        interfaces=tuple(sorted(entry.name for entry in interfaces.iterdir())) if interfaces.is_dir() else (),
    )


def _output(*command: str) -> str:
    """Return the output of a command. Raises HpcnnError with the command's message where it fails."""
    done = _run(command)
    if isinstance(done, str) or done.returncode:
        reason = done if isinstance(done, str) else (done.stderr or done.stdout).strip()
        raise HpcnnError(f"{' '.join(command[:3])} fails: {reason}")
    return done.stdout


def _output_if_any(*command: str, both: bool = False) -> str:
    """Return the output of a command; empty where it fails: a profile can do without it.

    both: with that on standard error.
    """
    done = _run(command)
    if isinstance(done, str) or (done.returncode and not both):
        return ""
    return done.stdout + done.stderr if both else done.stdout


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str] | str:
    """Return how a command ended, or why it could not be run."""
    # SINFO_FORMAT and its like would change what is printed
    outside = batch_scheduler().environment(os.environ)
    kept = {key: value for key, value in outside.items() if not key.startswith("SINFO_")}
    environment = {**kept, "LC_ALL": "C"}
    try:
        return captured(command, environment, SECONDS)
    except FileNotFoundError:
        return f"{command[0]} is not on this machine"
    except subprocess.TimeoutExpired:
        return f"no answer in {SECONDS:.0f} s"
