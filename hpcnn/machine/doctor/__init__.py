"""Diagnose this machine and shell: the software and variables for training, what is missing, and the remedy.

Changes nothing. Must not import commands.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from hpcnn.jobs.mpi import ask_mpi, find_mpirun
from hpcnn.machine.doctor import shell, software
from hpcnn.machine.doctor.finding import Finding
from hpcnn.machine.doctor.probe import probe
from hpcnn.util.gpus import nvidia_gpus
from hpcnn.util.host import version_of
from hpcnn.util.share import PACKAGE
from hpcnn.version import __version__

__all__ = ["Finding", "examine", "trains_serially"]

# Checks that serial training must pass.
_SERIAL = ("Python", "TensorFlow", "Keras", "KERAS_BACKEND")


def trains_serially(findings: Iterable[Finding]) -> bool:
    """Return whether one process can train here."""
    return not any(finding.status == "missing" and finding.check in _SERIAL for finding in findings)


def examine(environment: shell.Environment) -> list[Finding]:
    """Examine this Python, this machine and ``environment``. Takes seconds: it imports TensorFlow."""
    imported = probe(["mpi4py", "tensorflow", "keras", "horovod"], environment)
    tensorflow, keras, horovod = imported["tensorflow"], imported["keras"], imported["horovod"]
    allowed = len(os.sched_getaffinity(0))
    mpirun = find_mpirun(environment)
    mpi = ask_mpi(mpirun) if mpirun else None
    return [
        software.check_python(sys.version_info[:3]),
        Finding("hpcnn", f"{__version__} ({PACKAGE})"),
        software.check_tensorflow(tensorflow),
        software.check_keras(keras),
        *shell.check_keras_variables(environment),
        software.check_horovod(horovod, tensorflow, keras, version_of("horovod"), _horovod_built_for()),
        software.check_mpirun(mpirun, mpi),
        software.check_mpi4py(imported["mpi4py"], mpi),
        software.check_gpus(tensorflow, nvidia_gpus(environment), environment),
        shell.check_cores(allowed, os.cpu_count() or allowed, environment),
        shell.check_threads(environment, allowed),
        shell.check_onednn(environment),
        shell.check_data(environment),
        shell.check_commands(
            "Slurm", ("sbatch",), environment, "only to submit jobs: use a login node; --site local runs here"
        ),
        shell.check_commands(
            "Apptainer", ("apptainer", "singularity"), environment, "only for containers: load its module"
        ),
        *shell.check_inherited(environment),
    ]


def _horovod_built_for() -> str | None:
    """Return the TensorFlow version that the build of Horovod recorded in its package."""
    found = importlib.util.find_spec("horovod")
    if found is None or not found.submodule_search_locations:
        return None
    try:
        record = json.loads((Path(found.submodule_search_locations[0]) / "metadata.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return str(record["tensorflow"]) if "tensorflow" in record else None
