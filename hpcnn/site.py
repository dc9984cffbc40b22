"""Site profiles: what differs between machines, as keys of a TOML file, never as ``if site ==`` in code.

Packaged profiles stand in ``templates/sites``; a user's file of the same name in the configuration folder overrides
them key by key. Knows nothing of jobs.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpcnn import toml
from hpcnn.errors import bad_value, unknown_value
from hpcnn.resources import share_dir
from hpcnn.spec import NO_KEYS, field, from_mapping

SCHEDULERS = ("local",)
LAUNCHERS = ("mpirun",)


@dataclass(frozen=True)
class Site:
    """One machine as job scripts must know it."""

    name: str = field("local", "Name of the profile.")
    description: str = field("", "One line for people.")
    scheduler: str = field("local", "What runs job scripts.", choices=SCHEDULERS)
    template: str = field("local/job.sh.j2", "Job script template, below templates/.")
    launcher: str = field("mpirun", "What starts the ranks.", choices=LAUNCHERS)
    mpirun_options: tuple[str, ...] = field((), "Options that every mpirun gets.")
    environment: dict[str, Any] = field(NO_KEYS, "Variables that every job exports.")
    cores: int | None = field(None, "Cores of a node; open: those this process may use.", minimum=1)


def user_folder() -> Path:
    """Return the folder of the user's own profiles: $HPCNN_CONFIG/sites, or the platform's configuration folder."""
    base = os.environ.get("HPCNN_CONFIG")
    if base:
        return Path(base) / "sites"
    from platformdirs import user_config_path

    return user_config_path("hpcnn") / "sites"


def known_sites() -> list[str]:
    """Return the names of all profiles, packaged and the user's own."""
    folders = (share_dir("templates") / "sites", user_folder())
    return sorted({file.stem for folder in folders if folder.is_dir() for file in folder.glob("*.toml")})


def load_site(name: str) -> Site:
    """Return the profile ``name``: packaged keys, overridden key by key by the user's file.

    Raises UsageError for an unknown site, key or value, naming the file.
    """
    files = [folder / f"{name}.toml" for folder in (share_dir("templates") / "sites", user_folder())]
    files = [file for file in files if file.is_file()]
    if not files:
        raise unknown_value("--site", name, known_sites())
    merged: dict[str, Any] = {"name": name}
    for file in files:
        for key, value in toml.read(file).items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = {**merged[key], **value} if both else value
        _check_environment(from_mapping(Site, merged, f"{file}: "), f"{file}: ")
    return from_mapping(Site, merged)


def _check_environment(site: Site, where: str) -> None:
    """Raise UsageError for what a shell could not export: POSIX names (IEEE Std 1003.1, 3.216), strings, numbers."""
    for key, value in site.environment.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            raise bad_value(f"{where}[environment] key", key, "letters, digits and underscores")
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise bad_value(f"{where}[environment] {key}", value, "a string or a number")


def with_machine_cores(site: Site) -> Site:
    """Return the site with its cores filled in from this process's own where the profile leaves them open."""
    if site.cores is not None:
        return site
    return dataclasses.replace(site, cores=core_count(os.sched_getaffinity(0)))


def core_count(cpus: Iterable[int], system: Path = Path("/sys/devices/system/cpu")) -> int:
    """Return how many cores the logical ``cpus`` belong to: hardware threads of one core are one core.

    Cores are what Slurm and mpirun count: mpirun(1) of Open MPI refuses more bound ranks than there are cores. The
    kernel says which threads share a core (Documentation/admin-guide/cputopology.rst).
    """
    cores = set()
    for cpu in cpus:
        try:
            cores.add((system / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text())
        except OSError:  # no such folder in some containers: count the logical processor itself
            cores.add(str(cpu))
    return len(cores)
