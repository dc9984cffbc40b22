"""Write settings into the user's own profile of a site; the rest of the file, with comments, does not change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tomlkit
from tomlkit.container import OutOfOrderTableProxy
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable, Table

from hpcnn.sites.load import check
from hpcnn.util.errors import UsageError
from hpcnn.util.files import write_text
from hpcnn.util.toml import loads


def with_settings(text: str, section: str, settings: Mapping[str, str], note: str, where: str) -> str:
    """Return the text of a profile with the settings in its table ``section``, each with a comment, ``note``.

    Raises UsageError, naming ``where``, for a text that is no TOML, or no profile.
    """
    try:
        profile = tomlkit.parse(text)
    except TOMLKitError as error:
        raise UsageError(f"{where}: is not valid TOML: {error}") from error
    if section not in profile:
        profile[section] = tomlkit.table()
    table = profile[section]
    if not isinstance(table, (Table, InlineTable, OutOfOrderTableProxy)):
        raise UsageError(f"{where}: {section} is not a table")
    for variable, value in settings.items():
        item = tomlkit.string(value)
        if not isinstance(table, InlineTable):  # one line: a comment after a value would include the rest
            item.comment(note)
        table[variable] = item
    changed = tomlkit.dumps(profile)
    check({"name": Path(where).stem, **loads(changed)}, f"{where}: ")
    return changed


def keep(file: Path, section: str, settings: Mapping[str, str], note: str) -> None:
    """Write the settings into the profile ``file``, atomically. Raises UsageError for an invalid or unwritable file."""
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else _head(file.stem)
        write_text(file, with_settings(text, section, settings, note, str(file)))
    except OSError as error:
        raise UsageError(f"{file}: cannot be written ({error.strerror})") from error


def _head(name: str) -> str:
    return f"# What differs here from the packaged profile of {name}.\n"
