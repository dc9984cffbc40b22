"""The software environment of a job's ranks."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpcnn.specs.fields import NO_KEYS, field
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.secret_names import is_secret, secrets_of
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class SoftwareSpec:
    """The software environment of the ranks: a container or modules, and environment variables."""

    container: str | None = field(None, "Container image (SIF) that the ranks run in.")
    bind: tuple[str, ...] = field((), "Folder that the container sees, SRC[:DEST]; may be repeated.")
    module: tuple[str, ...] = field((), "Module to load after the site's own; may be repeated.")
    setup: tuple[str, ...] = field(
        (), "Line of bash before the ranks start, after modules and variables (conda activate ...); may be repeated."
    )
    env: dict[str, Json] = field(
        NO_KEYS,
        "Variable that the job exports; a NAME alone is --pass-env. May be repeated.",
        texts=True,
        bare="pass_env",
    )
    pass_env: tuple[str, ...] = field(
        (), "Variable that the job takes from the environment that submits it; its value is written nowhere."
    )
    env_file: str | None = field(None, "File of NAME=VALUE lines that the job sources; nobody else may read it.")

    def __post_init__(self) -> None:
        for name in secrets_of(self.env):
            raise UsageError(secret_hint("env", name))
        for name in self.pass_env:
            if not _NAME.fullmatch(name):
                raise bad_value("pass_env", name, "a name of letters, digits and _")


def secret_hint(key: str, name: str) -> str:
    """Return why the value of a variable is refused; the value itself is not repeated."""
    why = f"by its name {name} holds a secret" if is_secret(name) else f"the value of {name} holds a password"
    return (
        f"{key}: {why}, which would stand in the job script, the record and the report. "
        f"`--env {name}` without a value (in a file: pass_env = [{name!r}]) takes it from the environment that submits "
        "the job, and `--env-file FILE` from a file that only you can read"
    )


def without_secrets(software: Mapping[str, Json]) -> dict[str, Json]:
    """Return a recorded software environment in which no value of a secret stands, as records of hpcnn 0.1 may have."""
    env = software.get("env")
    if not isinstance(env, dict) or not (secrets := secrets_of(env)):
        return dict(software)
    passed = [*(software.get("pass_env") or ()), *secrets]
    return {**software, "env": {k: v for k, v in env.items() if k not in secrets}, "pass_env": passed}


def check_environment(software: SoftwareSpec) -> None:
    """Raise UsageError unless the variables that a job takes from here are set, and its file of them is private."""
    for name in software.pass_env:
        if name not in os.environ:
            raise UsageError(f"--env {name}: is not set in this environment, from which the job is to take it")
    if software.env_file is not None:
        from pathlib import Path

        check_private("--env-file", Path(software.env_file))


def check_private(option: str, file: Path) -> None:
    """Raise UsageError unless a file is one's own and closed to everybody else."""
    try:
        facts = file.stat()
    except OSError as error:
        raise UsageError(f"{option}: {str(file)!r}: {(error.strerror or str(error)).lower()}") from error
    if not stat.S_ISREG(facts.st_mode):
        raise UsageError(f"{option}: {str(file)!r} is no file")
    if facts.st_uid != os.getuid():
        raise UsageError(f"{option}: {str(file)!r} belongs to another user, whose commands the job would run")
    if facts.st_mode & 0o077:
        raise UsageError(f"{option}: {str(file)!r} is open to other users; close it: chmod 600 {file}")
