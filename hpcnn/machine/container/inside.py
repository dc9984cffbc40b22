"""Inspect the software in an image, by a Python program in it that starts like the ranks of a job."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hpcnn.jobs.launch import container_command, shell_word
from hpcnn.machine.doctor.probe import PROGRAM, Answer, ask
from hpcnn.sites.profile import Site
from hpcnn.specs.software import SoftwareSpec
from hpcnn.util.errors import HpcnnError, UsageError

STAGES = ("system", "tensorflow", "keras", "horovod", "mpi4py", "mpi", "hpcnn")

# Stages besides those of the doctor. The program imports nothing of hpcnn, which an image may lack.
_PROGRAM = """
import platform, shutil, subprocess
from importlib import metadata

def system():
    try:
        horovod = metadata.version("horovod")
    except metadata.PackageNotFoundError:
        horovod = None
    return {"version": platform.python_version(), "machine": platform.machine(), "horovod": horovod}

def mpi():
    def printed(*words):
        return subprocess.run(words, capture_output=True, text=True).stdout if shutil.which(words[0]) else ""
    components = printed("ompi_info", "--parsable").splitlines()
    return {"mpirun": printed("mpirun", "--version"), "pmi": [c for c in components if c.startswith("mca:pmix:")]}

def hpcnn():
    return {"version": metadata.version("hpcnn"), "command": shutil.which("hpcnn")}
"""

_PYTHON = 'command -v python >/dev/null && exec python "$@"; exec python3 "$@"'


def inspect_image(image: Path, site: Site) -> dict[str, Answer]:
    """Run each of STAGES in the image, with the site's options and binds; return the answers.

    Raises UsageError if the site's container runtime is missing, and HpcnnError if no Python runs in the image.
    """
    environment, start, name = container_command(site, SoftwareSpec(container=str(image)), [], gpu=False)
    if shutil.which(start[0]) is None:
        module = f": load its module (`module load {site.container_module or start[0]}`)"
        raise UsageError(f"{start[0]}, by which site {site.name} runs containers, is not on PATH{module}")
    words = [*environment, *start, *name, "sh", "-c", _PYTHON, "sh"]
    _must_run([*words, "--version"], image)
    return ask(_by_shell([*words, "-c", _PROGRAM + PROGRAM]), STAGES, os.environ)


def _by_shell(words: Sequence[str]) -> list[str]:
    """Return a command by which the shell expands variables in a site's options; further arguments may follow."""
    return ["bash", "-c", f'exec {" ".join(shell_word(word) for word in words)} "$@"', "bash"]


def _must_run(words: Sequence[str], image: Path) -> None:
    ended = subprocess.run(_by_shell(words), capture_output=True, text=True, check=False)
    if ended.returncode:
        printed = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
        reason = "\n".join(printed[-5:]) or f"exit status {ended.returncode}"
        raise HpcnnError(f"{image}: no Python runs in it:\n{reason}")
