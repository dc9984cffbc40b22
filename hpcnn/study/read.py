"""Read a study file (TOML) into a StudySpec, checking every key. Must not import the expansion."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.specs.defaults import set_open
from hpcnn.specs.fields import check_field, from_mapping, hints, plain_type
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.study import StudySpec
from hpcnn.specs.train import AugmentSpec, TrainSpec
from hpcnn.util import toml
from hpcnn.util.errors import UsageError, bad_value, unknown_value
from hpcnn.util.share import find_packaged
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_SECTIONS: dict[str, type[DataclassInstance]] = {"train": TrainSpec, "resources": Resources, "software": SoftwareSpec}
# Tables within [train] whose keys may be axes: prefix of the axis -> name of the table.
TABLES = {"model": "model_args", "data": "data_args", "augment": "augment"}
# Those whose keys are keywords of a function, which checks them.
_KEYWORDS = ("model", "data")
# Keys that `--set` changes besides fields and keywords of the model.
_PLAIN = ("name", "kind", "description", "repeats", "seeds")
# Keys of [train] that state something of a program of the user's own.
OF_PROGRAMS = ("strategy", "batch_size", "samples")


def find(name: str) -> Path:
    """Return a study file: the path as given, or the packaged study of that name (``strong_scaling``)."""
    return find_packaged("study", "scaling_studies", name, see="hpcnn study list")


def read(
    path: Path, changes: Mapping[str, Json] | None = None, defaults: Mapping[str, Json] | None = None
) -> StudySpec:
    """Return the study in ``path`` with ``changes`` (dotted key -> value, or list of values for an axis) made to it.

    defaults: values of dotted keys for what the file leaves open.

    Raises UsageError naming file, table, key, value and the valid values.
    """
    where = f"{path.name}: "
    table = {"name": path.stem, **toml.read(path)}
    from_mapping(StudySpec, table, where)  # checks the types of the values that are changed below
    set_open(table, defaults or {})
    for key, value in (changes or {}).items():
        _change(table, key, value)
    study = from_mapping(StudySpec, table, where)
    if study.name in ("", ".", "..") or "/" in study.name:
        raise bad_value(f"{where}name", study.name, "the name of a folder, without '/'")
    for section, cls in _SECTIONS.items():
        _check_table(cls, getattr(study, section), f"{where}[{section}] ")
    flat = _flat(study.axes)
    axes = {full_key(key, f"{where}[axes] key"): _values(f"{where}[axes] ", key, flat[key]) for key in flat}
    points = tuple(_point(f"{where}[[points]] ", point) for point in study.points)
    study = dataclasses.replace(study, axes=axes, points=points)
    if study.program:
        _check_program(study, where)
    return study


def full_key(key: str, name: str) -> str:
    """Return the dotted name of an axis: ``ntasks`` is ``resources.ntasks``; ``model.d_rate``, ``augment.zoom`` stay.

    Raises UsageError, which calls the key ``name``, for a key that is a field of no table.
    """
    section, dot, field = key.partition(".")
    if dot and section in _KEYWORDS and field:
        return key
    if dot and section == "augment":
        if field not in hints(AugmentSpec):
            raise unknown_value(name, key, [f"augment.{known}" for known in hints(AugmentSpec)])
        return key
    if dot and section in _SECTIONS:
        fields = [f"{section}.{field}" for field in hints(_SECTIONS[section])]
        if key not in fields:
            raise unknown_value(name, key, fields)
        return key
    for section, cls in _SECTIONS.items():
        if key in hints(cls):
            return f"{section}.{key}"
    fields = [field for cls in _SECTIONS.values() for field in hints(cls)]
    forms = [*(f"{section}.KEYWORD" for section in _KEYWORDS), "augment.KEY"]
    raise unknown_value(name, key, fields, forms=forms)


def _check_table(cls: type[DataclassInstance], table: Mapping[str, Json], where: str) -> None:
    """Raise UsageError for an invalid key or value. Contradictions between values are found when points are made."""
    for key, value in table.items():
        if key not in hints(cls):
            raise unknown_value(f"{where}key", key, hints(cls))
        check_field(cls, key, value, f"{where}{key}")


def _change(table: dict[str, Json], key: str, value: Json) -> None:
    """Apply one ``--set`` change: to a plain key of the file, a field, or (for a list) an axis."""
    if key in _PLAIN:
        table[key] = value
        return
    full = full_key(key, "--set")
    if any(full == full_key(name, "[[points]] key") for point in table.get("points", []) for name in _flat(point)):
        raise UsageError(f"--set {key}: the study's [[points]] say it each for itself; change it in a copy of the file")
    axes = table["axes"] = _flat(table.get("axes", {}))
    for old in [name for name in axes if full_key(name, "[axes] key") == full]:
        del axes[old]
    if isinstance(value, list):
        axes[full] = value
        return
    section, _, field = full.partition(".")
    if section in TABLES:
        table.setdefault("train", {}).setdefault(TABLES[section], {})[field] = value
    else:
        is_list = plain_type(hints(_SECTIONS[section])[field]) is tuple
        table.setdefault(section, {})[field] = [value] if is_list and isinstance(value, str) else value


def _values(where: str, key: str, values: Json) -> list[Json]:
    if not isinstance(values, list) or not values:
        raise bad_value(f"{where}{key}", values, "a list with at least one value")
    return [_value(where, key, value) for value in values]


def _point(where: str, point: Mapping[str, Json]) -> dict[str, Json]:
    return {full_key(key, f"{where}key"): _value(where, key, value) for key, value in _flat(point).items()}


def _flat(point: Mapping[str, Json]) -> dict[str, Json]:
    """Return a point, or axes, with dotted keys: ``train.strategy`` for the key ``strategy`` of its table ``train``."""
    flat = {}
    for key, value in point.items():
        if key in (*_SECTIONS, *TABLES) and isinstance(value, dict):
            flat.update({f"{key}.{name}": item for name, item in value.items()})
        else:
            flat[key] = value
    return flat


def _value(where: str, key: str, value: Json) -> Json:
    """Return one value of a field, checked; a model or data set checks its own keywords later."""
    section, _, field = full_key(key, f"{where}key").partition(".")
    if section in _KEYWORDS:
        return value
    cls = AugmentSpec if section == "augment" else _SECTIONS[section]
    return check_field(cls, field, value, f"{where}{key}")


def _check_program(study: StudySpec, where: str) -> None:
    """Raise UsageError for keys of training in a study of a user's own program, and for a batch that nobody states."""
    stated = [f"train.{key}" for key in OF_PROGRAMS]
    valid = ("resources.", "software.", *stated)
    points = [key for keys in (study.axes, *study.points) for key in keys]
    keys = [key for key in points if not key.startswith(valid)]
    keys = [*(f"[train] {key}" for key in study.train if key not in OF_PROGRAMS), *keys]
    keys = [*keys, *(["seeds"] if study.seeds else [])]
    if keys:
        raise UsageError(
            f"{where}{', '.join(keys)}: keys of training cannot go with a program of your own, but {', '.join(stated)}"
        )
    if study.kind in ("strong", "weak") and "batch_size" not in study.train and "train.batch_size" not in points:
        whose = "all ranks together" if study.kind == "strong" else "one rank"
        raise UsageError(
            f"{where}[train] batch_size: a {study.kind}-scaling study of a program needs the batch size of {whose}, "
            "which hpcnn cannot see; the program finds it in HPCNN_BATCH_SIZE"
        )
