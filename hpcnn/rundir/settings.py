"""The settings of runs as they were asked for, and those in which some runs differ. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from hpcnn.util.secret_names import secrets_of
from hpcnn.util.types import Json

# Tables of a spec whose keys are settings, by the names that users give them.
_TABLES = ("train", "resources", "software")
_PLAIN = ("name", "site", "program", "study", "repeat")


def settings_of(spec: Mapping[str, Json]) -> dict[str, Json]:
    """Return the settings of a run's ``spec.json`` by their names; what was left open is left out."""
    found = {key: spec.get(key) for key in _PLAIN}
    for table in _TABLES:
        values = spec.get(table)
        found |= values if isinstance(values, dict) else {}
    if isinstance(env := found.get("env"), dict):  # hpcnn 0.1 recorded secrets
        secrets = secrets_of(env)
        found["env"] = {name: value for name, value in env.items() if name not in secrets}
    return {key: value for key, value in found.items() if value not in (None, "", [], {}, False)}


def differing(every: Sequence[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """Return, for each of some runs, the settings in which not all of them agree; None for one that was left open."""
    keys = dict.fromkeys(key for settings in every for key in settings)
    first = every[0] if every else {}
    varying = [key for key in keys if any(settings.get(key) != first.get(key) for settings in every)]
    return [{key: settings.get(key) for key in varying} for settings in every]


def words(settings: Mapping[str, Json], without: Sequence[str] = ()) -> str:
    """Return settings as ``ntasks 2, precision bfloat16``."""
    shown = {key: value for key, value in settings.items() if value is not None and key not in without}
    return ", ".join(f"{key} {plain(value)}" for key, value in shown.items())


def plain(value: Json) -> str:
    """Return a value as people write it."""
    if isinstance(value, dict):
        return " ".join(f"{key}={plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(map(plain, value))
    return value if isinstance(value, str) else json.dumps(value, default=str)
