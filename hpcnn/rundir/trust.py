"""Whether to run what a run's record names: functions to import, a program, variables. Reading a run runs nothing.

A record is believed where it is this user's own, and as it was when hpcnn wrote it. Must not import a room that trains.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from hpcnn.rundir.layout import RunDir
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_json
from hpcnn.util.seal import has_seal, is_own
from hpcnn.util.types import Json
from hpcnn.util.user_code import code_digest


def check_trusted(run: RunDir, names: Sequence[str], *, trust: bool = False) -> None:
    """Raise UsageError unless what a run names may be run; ``names`` says what that is. trust: the user says so.

    A record without a seal, as earlier versions wrote it, is believed by its owner, where nobody else can write it.
    """
    why = None if trust else _doubt(run, names)
    if why is not None:
        raise UsageError(
            f"{run.path}: this would run what its record names ({', '.join(names)}), and {why}. Look at it first; "
            "--trust runs it"
        )


def _doubt(run: RunDir, names: Sequence[str]) -> str | None:
    """Return why a run is not to be believed, or None."""
    records = {file: read_json(file) or {} for file in (run.spec, run.provenance) if file.exists()}
    for place in (run.path, *records):
        if place.stat().st_uid != os.getuid():
            return f"{place.name} belongs to another user"
    for file, record in records.items():
        if has_seal(record):
            if not is_own(record):
                return f"{file.name} is not as your hpcnn wrote it: it is a copy of another user's run, or was changed"
        elif writable := [place for place in (run.path, file) if place.stat().st_mode & 0o022]:
            return f"{writable[0].name} has no seal, and other users can write it"
    code: Json = records.get(run.provenance, {}).get("code")
    for name, digest in code.items() if isinstance(code, dict) else ():
        if name in names and digest is not None and code_digest(name) != digest:
            return f"the file of {name} is not the one that the run was made with"
    return None
