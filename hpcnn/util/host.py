"""Facts about a process and its host, without which a measured time means little: processor, cores, versions.

Changes nothing. Must not import any other room.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpcnn.util.types import Json
from hpcnn.version import __version__

_PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow_cpu"),
    "keras": ("keras",),
    "horovod": ("horovod",),
    "mpi4py": ("mpi4py",),
    "numpy": ("numpy",),
}
_THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("HPCNN_INTRA_OP_THREADS_PER_CORE", "HPCNN_INTER_OP_THREADS_PER_CORE"),
)


# What a record says of a Slurm job. An allow-list: SLURM_JWT is a password, and nobody knows what comes after it.
SLURM_FACTS = (
    *("SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_JOB_PARTITION", "SLURM_JOB_QOS"),
    *("SLURM_JOB_ACCOUNT", "SLURM_JOB_NODELIST", "SLURM_JOB_NUM_NODES", "SLURM_JOB_CPUS_PER_NODE", "SLURM_JOB_GPUS"),
    *("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"),
    *("SLURM_TASKS_PER_NODE", "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU"),
    *("SLURM_GPUS", "SLURM_GPUS_PER_NODE", "SLURM_GPUS_ON_NODE", "SLURM_GPUS_PER_TASK", "SLURM_STEP_ID"),
    *("SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_CPU_BIND", "SLURM_DISTRIBUTION", "SLURM_HINT"),
    *("SLURM_THREADS_PER_CORE", "SLURM_MPI_TYPE"),
)


def version_of(package: str) -> str | None:
    """Return the installed version of a package, under any of its distribution names, without importing it."""
    for name in _PACKAGES.get(package, (package,)):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def versions() -> dict[str, str | None]:
    """Return the versions of hpcnn, Python and the packages that training uses."""
    return {
        "hpcnn": __version__,
        "python": platform.python_version(),
        **{package: version_of(package) for package in _PACKAGES},
    }


def cpu_model() -> str:
    """Return the processor's name as the operating system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def processor_has(instructions: str) -> bool:
    """Return whether an x86 processor has a set of instructions, by the kernel's name of it.

    ``avx2``: all since about 2015. ``avx512bw``: those for which oneDNN has products in bfloat16.
    """
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return False
    return instructions in flags.split()


def process_seconds() -> float | None:
    """Return the age of this process in seconds, to 10 ms (proc(5), "starttime"); None without /proc."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def host_facts(rank: int, devices: tuple[str, ...] = ()) -> dict[str, Json]:
    """Return the facts of one rank: its host, processor, cores, devices and threads."""
    return {
        "rank": rank,
        "host": socket.gethostname(),
        "cpu_model": cpu_model(),
        "cores": os.cpu_count(),
        "cores_allowed": sorted(os.sched_getaffinity(0)),
        "pid": os.getpid(),
        "devices": list(devices),
        "threads": {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
    }


def facts_of_node(ranks: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Return the facts of a node's ranks in one entry: what they have in common once, the rest by rank in ``ranks``."""
    first, *others = ranks
    common = {key: value for key, value in first.items() if all(rank.get(key) == value for rank in others)}
    common.pop("rank", None)  # of the only rank of a node, too, it belongs to the rank
    own = [{key: value for key, value in rank.items() if key not in common} for rank in ranks]
    return {**common, "ranks": own}


def facts_by_rank(hosts: Json) -> list[dict[str, Json]]:
    """Return one entry a rank, by rank, of ``hosts`` in a ``provenance.json``, which may have one a node.

    What is damaged is left out.
    """
    found: list[dict[str, Json]] = []
    for entry in hosts if isinstance(hosts, list) else ():
        if isinstance(entry, dict) and isinstance(ranks := entry.get("ranks"), list):
            common = {key: value for key, value in entry.items() if key != "ranks"}
            found += [{"rank": None, **common, **rank} for rank in ranks if isinstance(rank, dict)]
        elif isinstance(entry, dict):
            found.append(entry)
    return sorted(found, key=lambda entry: rank if isinstance(rank := entry.get("rank"), int) else 0)


def job_facts() -> dict[str, Json]:
    """Return the facts that all ranks share: command line, git commit, container, versions, Slurm job."""
    return {
        "command": [sys.executable, *sys.argv],
        "directory": str(Path.cwd()),
        "git_commit": git_commit(),
        "container": os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER"),
        "slurm": {key: os.environ[key] for key in sorted(SLURM_FACTS) if key in os.environ},
        "versions": versions(),
    }


def git_commit() -> str | None:
    """Return the commit of the user's current directory, with ``-dirty`` where it has changes; None outside git."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
