"""Reads a study file (TOML) into a StudySpec, checking every key. Expands nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpcnn import toml
from hpcnn.errors import UsageError, bad_value, unknown_value
from hpcnn.resources import share_dir
from hpcnn.spec import STUDY_KINDS, Resources, StudySpec, TrainSpec, from_mapping, hints

_KEYS = ("name", "kind", "description", "repeats", "seeds", "train", "resources", "axes", "points", "program")
_SECTIONS = {"train": TrainSpec, "resources": Resources}


def find(name: str) -> Path:
    """Return a study file: the path as given, or the packaged study of that name (``strong_scaling``)."""
    path = Path(name)
    if path.is_file():
        return path
    folder = share_dir("scaling_studies")
    packaged = sorted(file.stem for file in folder.glob("*.toml"))
    wanted = path.stem if path.suffix in ("", ".toml") else ""
    if wanted in packaged and path.parent.name in ("", "scaling_studies"):
        return folder / f"{wanted}.toml"
    raise unknown_value("study", name, packaged)


def read(path: Path, changes: Mapping[str, Any] | None = None) -> StudySpec:
    """Return the study in ``path`` with ``changes`` (dotted key -> value, or list of values for an axis) made to it.

    Raises UsageError naming file, table, key, value and what is valid.
    """
    table = toml.read(path)
    for key, value in (changes or {}).items():
        _change(table, key, value)
    where = f"{path.name}: "
    for key in table:
        if key not in _KEYS:
            raise unknown_value(f"{where}key", key, _KEYS)
    kind = table.get("kind", "throughput")
    if kind not in STUDY_KINDS:
        raise unknown_value(f"{where}kind", kind, STUDY_KINDS)
    study = StudySpec(
        name=_text(where, table.get("name", path.stem)),
        kind=kind,
        description=str(table.get("description", "")),
        repeats=_repeats(where, table.get("repeats", 1)),
        train=dict(table.get("train", {})),
        resources=dict(table.get("resources", {})),
        axes={_full(where, key): _values(where, key, values) for key, values in table.get("axes", {}).items()},
        points=tuple(_point(where, point) for point in table.get("points", [])),
        seeds=tuple(table.get("seeds", [])),
        program=tuple(table.get("program", [])),
    )
    for section, cls in _SECTIONS.items():
        from_mapping(cls, getattr(study, section), f"{where}[{section}] ")
    return study


def full_key(key: str) -> str:
    """Return the dotted name of an axis: ``ntasks`` is ``resources.ntasks``, ``model.dropout`` stays.

    Raises UsageError for a key that is a field of neither [train] nor [resources].
    """
    section, dot, name = key.partition(".")
    if dot and section == "model" and name:
        return key
    if dot and section in _SECTIONS and name in hints(_SECTIONS[section]):
        return key
    owners = [section for section, cls in _SECTIONS.items() if key in hints(cls)]
    if len(owners) == 1:
        return f"{owners[0]}.{key}"
    valid = [f"{section}.{name}" for section, cls in _SECTIONS.items() for name in hints(cls)]
    raise unknown_value("axis", key, [*valid, "model.KEYWORD"])


def _change(table: dict[str, Any], key: str, value: Any) -> None:
    """Make one ``--set`` change: a plain key of the file, a field, or (for a list) an axis."""
    if key in ("name", "kind", "repeats", "description", "seeds"):
        table[key] = value
        return
    full = full_key(key)
    axes = table.setdefault("axes", {})
    for old in [name for name in axes if full_key(name) == full]:
        del axes[old]
    if isinstance(value, list):
        axes[full] = value
        return
    section, _, name = full.partition(".")
    target = table.setdefault("train", {}).setdefault("model_args", {}) if section == "model" else None
    (target if target is not None else table.setdefault(section, {}))[name] = value


def _full(where: str, key: str) -> str:
    try:
        return full_key(key)
    except UsageError as error:
        raise UsageError(f"{where}[axes] {error}") from error


def _values(where: str, key: str, values: Any) -> list[Any]:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise bad_value(f"{where}[axes] {key}", values, "a list with at least one value")
    return list(values)


def _point(where: str, point: Any) -> dict[str, Any]:
    if not isinstance(point, dict):
        raise bad_value(f"{where}points", point, "a table of keys and values")
    flat = {}
    for key, value in point.items():
        inner = {f"{key}.{name}": item for name, item in value.items()} if isinstance(value, dict) else {key: value}
        flat.update({_full(where, name): item for name, item in inner.items()})
    return flat


def _repeats(where: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise bad_value(f"{where}repeats", value, "a whole number of at least 1")
    return value


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value or "/" in value:
        raise bad_value(f"{where}name", value, "a text without '/' (it names a folder)")
    return value
