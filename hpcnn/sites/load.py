"""Find and merge site profiles: packaged, then the user's file of the same name, key by key.

Precedence, weakest first: the defaults of ``profile.py``, the packaged profile, the user's file, the command line.
Must not import what concerns jobs.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import string
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hpcnn.scheduler import scheduler_of
from hpcnn.scheduler.allocation import Allocation, allocation_of
from hpcnn.sites.profile import PLACEHOLDERS, Site
from hpcnn.specs.fields import from_mapping
from hpcnn.specs.software import secret_hint
from hpcnn.util import toml
from hpcnn.util.config_dir import config_folder, is_there
from hpcnn.util.errors import UsageError, bad_value, unknown_value
from hpcnn.util.secret_names import secrets_of
from hpcnn.util.share import share_dir
from hpcnn.util.types import Json
from hpcnn.util.walltime import seconds_of


def user_folder() -> Path:
    """Return the folder of the user's own profiles: $HPCNN_CONFIG/sites, or the platform's configuration folder."""
    return config_folder() / "sites"


def known_sites() -> list[str]:
    """Return the names of all profiles, packaged and the user's own."""
    return sorted({file.stem for folder in _folders() if is_there(folder) for file in folder.glob("*.toml")})


def load_site(name: str) -> Site:
    """Return the profile ``name``: packaged keys, overridden key by key by the user's file.

    Raises UsageError for an unknown site, key or value, naming the file.
    """
    return load_with_origin(name)[0]


def load_with_origin(name: str) -> tuple[Site, dict[str, str]]:
    """Return the profile and, for each key, the origin of its value: ``default``, or the file that set it."""
    places = (folder / f"{name}.toml" for folder in _folders())
    files = [file for file in places if is_there(file) and file.is_file()]
    if not files:
        raise unknown_value("--site", name, known_sites(), see="hpcnn sites list")
    merged: dict[str, Json] = {"name": name}
    origin = {field.name: "default" for field in dataclasses.fields(Site)}
    for file in files:
        table = toml.read(file)
        merged = _merge(merged, table)
        origin.update(dict.fromkeys(table, str(file)))
        check(merged, f"{file}: ")
    return check(merged, ""), origin


def read_profile(file: Path) -> Site:
    """Return the profile in one file, unmerged. Raises UsageError naming file, key and value."""
    return check({"name": file.stem, **toml.read(file)}, f"{file}: ")


def check(table: Mapping[str, Json], where: str) -> Site:
    """Return the profile of a table. Raises UsageError for an invalid key or value, with ``where`` before the key."""
    site = from_mapping(Site, table, where)
    for mistake in _mistakes_within(site, where):
        raise mistake
    return site


def mistakes(file: Path) -> list[str]:
    """Return everything that is wrong with the profile in one file. Raises UsageError for one that is no TOML."""
    table, where = {"name": file.stem, **toml.read(file)}, f"{file}: "
    found, valid = [], {}
    for key, value in table.items():
        try:
            from_mapping(Site, {"name": file.stem, key: value}, where)
            valid[key] = value
        except UsageError as error:
            found.append(str(error))
    try:
        site = from_mapping(Site, valid, where)
    except UsageError as error:  # keys that contradict each other
        return [*found, str(error)]
    return [*found, *map(str, _mistakes_within(site, where))]


def _mistakes_within(site: Site, where: str) -> Iterator[UsageError]:
    """Yield what is wrong inside tables and commands of a profile, each of whose keys has a value of its type."""
    for section in ("environment", "environment_gpu"):
        for key, value in getattr(site, section).items():
            # POSIX (IEEE Std 1003.1, 3.216, "Name"): what a shell can export
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
                yield bad_value(f"{where}[{section}] key", key, "letters, digits and underscores")
            if secrets_of({key: value}):
                yield UsageError(secret_hint(f"{where}[{section}]", key))
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                yield bad_value(f"{where}[{section}] {key}", value, "a string or a number")
    for key in ("time", "time_min", "time_max"):
        try:
            seconds_of(getattr(site, key) or "0", f"{where}{key}")
        except UsageError as error:
            yield error
    for key in ("interactive", "interactive_gpu"):
        try:
            _check_command(f"{where}{key}", getattr(site, key))
        except UsageError as error:
            yield error
    for key in site.sources:
        if key not in {field.name for field in dataclasses.fields(Site)}:
            yield unknown_value(f"{where}[sources] key", key, [field.name for field in dataclasses.fields(Site)])


def _check_command(key: str, command: str) -> None:
    """Raise UsageError for a command that a shell cannot split into words, or that has unknown placeholders."""
    try:
        words = shlex.split(command)
        names = [name for _, name, _, _ in string.Formatter().parse(command) if name is not None]
    except ValueError as error:
        raise bad_value(key, command, f"a command ({error})") from error
    for name in names:
        if name not in PLACEHOLDERS:
            raise unknown_value(key, f"{{{name}}}", [f"{{{word}}}" for word in PLACEHOLDERS])
    if "command" in names and "{command}" not in words:
        raise bad_value(key, command, "{command} as a word of its own")


def with_machine_cores(site: Site) -> Site:
    """Return the site with the cores of this process where the profile of this machine names none.

    In a job of Slurm these are the job's on each of its nodes, of which this process may have a part.
    """
    if site.cores is not None or not scheduler_of(site.scheduler).this_machine_only:
        return site
    return dataclasses.replace(site, cores=cores_here(allocation_of(os.environ)))


def cores_here(allocation: Allocation | None) -> int:
    """Return the cores of this process, or those of its job on each node where they are more, or it is on none."""
    own = core_count(os.sched_getaffinity(0))
    if allocation is None:
        return own
    threads = max((os.cpu_count() or 1) // core_count(range(os.cpu_count() or 1)), 1)
    of_job = max(allocation.cpus // threads, 1)
    return max(own, of_job) if allocation.here and allocation.nodes == 1 else of_job


def core_count(cpus: Iterable[int], system: Path = Path("/sys/devices/system/cpu")) -> int:
    """Return the number of cores of the logical ``cpus``: hardware threads of one core are one core.

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


def _folders() -> tuple[Path, Path]:
    return share_dir("templates") / "sites", user_folder()


def _merge(merged: dict[str, Json], table: Mapping[str, Json]) -> dict[str, Json]:
    result = dict(merged)
    for key, value in table.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = {**result[key], **value} if both else value
    return result
