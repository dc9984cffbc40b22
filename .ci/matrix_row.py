"""Print the row of docs/supported.md for this machine: what there is, and how `make demo` and `make test` ended.

python .ci/matrix_row.py DEMO TEST
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from hpcnn.jobs.mpi import ask_mpi, find_mpirun


def main() -> None:
    """Print the row."""
    demo, tested = sys.argv[1:]
    mpirun = find_mpirun(os.environ)
    cells = (
        f"{datetime.now(timezone.utc):%Y-%m-%d}",
        system(),
        platform.python_version(),
        f"GCC {printed('g++', '-dumpfullversion') or 'none'}",
        (ask_mpi(mpirun) if mpirun else None) or "none",
        printed("slurmctld", "-V").removeprefix("slurm-wlm ").removeprefix("slurm ") or "none",
        tensorflow(),
        metadata.version("keras"),
        demo,
        tested,
    )
    print(f"| {' | '.join(cells)} |")


def system() -> str:
    """Return the name and version of the operating system: Debian 13.2."""
    release = platform.freedesktop_os_release()
    version = release.get("VERSION_ID", "")
    if release["ID"] == "debian":
        version = Path("/etc/debian_version").read_text(encoding="utf-8").strip()
    return f"{release['NAME'].removesuffix(' GNU/Linux')} {version}".strip()


def tensorflow() -> str:
    """Return the version of TensorFlow, whatever its package is called."""
    names = metadata.packages_distributions().get("tensorflow", [])
    return metadata.version(names[0]) if names else "none"


def printed(program: str, *words: str) -> str:
    """Return what a program prints; empty without it."""
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        return ""
    return subprocess.run([path, *words], capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
