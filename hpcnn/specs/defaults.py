"""The user's own defaults: ``config.toml`` in the configuration folder, and ``hpcnn.toml`` of a project.

A key is an option of ``hpcnn submit``, with dashes or underscores, or one of ``PLAIN``. The project's file is stronger
than the user's, the command line and the variables of the environment are stronger than both.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hpcnn.util.config_dir import config_folder, is_there
from hpcnn.util.types import Json

USER_FILE, PROJECT_FILE = "config.toml", "hpcnn.toml"
# Keys that are no option of `hpcnn submit`: what each is.
PLAIN = {"runs": "folder of all runs", "site": "site profile"}
# A key of the user's own file alone, whose value is a secret: nothing shows it, and no record has it.
WEBHOOK = "webhook"
_HIDDEN = "(set; not shown)"
# The variable that is stronger than a file, by key.
VARIABLES = {"runs": "HPCNN_RUNS", "site": "HPCNN_SITE"}


@dataclass(frozen=True)
class Default:
    """A value and where it comes from: a file, or a variable of the environment."""

    value: Json
    origin: str


def files() -> list[Path]:
    """Return the files of defaults that are there, the weaker first. Nobody else's project counts."""
    found = [config_folder() / USER_FILE, Path(PROJECT_FILE).absolute()]
    return [file for file in found if is_there(file) and file.is_file() and not is_foreign(file)]


def is_foreign(file: Path) -> bool:
    """Return whether a file belongs to another user, whose lines of bash a job would run."""
    return file.stat().st_uid not in (os.getuid(), 0)


def read_defaults() -> dict[str, Default]:
    """Return the user's defaults by key, of files alone. Raises UsageError naming file and key for a mistake in one."""
    found: dict[str, Default] = {}
    for file in files():
        found |= {key: Default(value, str(file)) for key, value in _checked(file)}
    return found


def with_variables(found: dict[str, Default]) -> dict[str, Default]:
    """Return defaults with those of the environment, which are stronger."""
    given = {key: Default(os.environ[name], f"${name}") for key, name in VARIABLES.items() if os.environ.get(name)}
    return {**found, **given}


def webhook() -> str | None:
    """Return the address that the user's config.toml names as ``webhook``, None without one.

    Raises UsageError for one that is not valid, and where other users can read the file.
    """
    from hpcnn.util.toml import read

    file = config_folder() / USER_FILE
    if not is_there(file) or not file.is_file() or is_foreign(file):
        return None
    value = read(file).get(WEBHOOK)
    if value is None:
        return None
    _check_webhook(file, value, f"{file}: {WEBHOOK}")
    return str(value)


def set_open(table: dict[str, Json], defaults: Mapping[str, Json]) -> None:
    """Set dotted keys of the tables of a file that it leaves open."""
    for key, value in defaults.items():
        section, _, field = key.partition(".")
        table[section] = {field: value, **table.get(section, {})}


def _checked(file: Path) -> Iterator[tuple[str, Json]]:
    from hpcnn.specs.fields import check_field, facts_of
    from hpcnn.specs.resources import Resources
    from hpcnn.specs.software import SoftwareSpec, secret_hint
    from hpcnn.specs.train import TrainSpec
    from hpcnn.util.errors import UsageError, bad_value, unknown_value
    from hpcnn.util.secret_names import secrets_of
    from hpcnn.util.toml import read

    homes = {f.name: (cls, f) for cls in (Resources, SoftwareSpec, TrainSpec) for f in dataclasses.fields(cls)}
    names = {facts_of(f)["option"] or "": name for name, (_, f) in homes.items()}
    for written, value in read(file).items():
        key = names.get(f"--{written}".replace("_", "-"), written.replace("-", "_"))
        where = f"{file}: {written}"
        if key == WEBHOOK:
            _check_webhook(file, value, where)
            yield key, _HIDDEN
        elif key in PLAIN:
            if not isinstance(value, str) or not value:
                raise bad_value(where, value, f"a string: {PLAIN[key]}")
            yield key, str(file.parent / Path(value).expanduser()) if key == "runs" else value
        elif key in homes:
            checked = check_field(homes[key][0], key, value, where)
            if key == "env" and (secrets := secrets_of(checked)):
                raise UsageError(secret_hint(where, secrets[0]))
            yield key, checked
        else:
            raise unknown_value(f"{file}: key", written, [*PLAIN, WEBHOOK, *homes], see="hpcnn submit --help")


def _check_webhook(file: Path, value: Json, where: str) -> None:
    """Raise UsageError, which does not show the value, unless it is an address in a file that is the user's alone."""
    from urllib.parse import urlsplit

    from hpcnn.specs.software import check_private
    from hpcnn.util.errors import UsageError

    if file.name != USER_FILE:
        raise UsageError(f"{where}: it is a secret, and a project's file is for others too; write it in {USER_FILE}")
    check_private(where, file)
    plain = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
    try:
        valid = plain and urlsplit(value).scheme in ("http", "https") and bool(urlsplit(value).hostname)
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"{where}: the value (not shown) is not valid; expected an address that begins with https://")
