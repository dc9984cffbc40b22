"""Read a search file (TOML) into a Search, checking every key. Must not import Optuna."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.search.space import Dimension, Values, check_count, dimension, points, short
from hpcnn.search.spec import Options, Search, SearchFile
from hpcnn.specs.defaults import set_open
from hpcnn.specs.fields import check_field, from_mapping, hints
from hpcnn.specs.job import check_ranks
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.train import TrainSpec
from hpcnn.util import toml
from hpcnn.util.errors import UsageError, bad_value, unknown_value
from hpcnn.util.share import find_packaged
from hpcnn.util.types import Json
from hpcnn.zoo.catalogue import check_name as check_data_name
from hpcnn.zoo.registry import check_name as check_model_name
from hpcnn.zoo.registry import keywords

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_TABLES: dict[str, type[DataclassInstance]] = {
    "search": Options,
    "train": TrainSpec,
    "resources": Resources,
    "software": SoftwareSpec,
}
# Fields that decide how a trial runs or what it writes, but not its accuracy.
_NOT_SEARCHED = ("model_args", "tensorboard", "checkpoint", "communication", "evaluate", "devices", "strategy")


def find(name: str) -> Path:
    """Return a search file: the path as given, or the packaged search of that name (``psc_hparams``)."""
    return find_packaged("search", "searches", name)


def read(path: Path, changes: Mapping[str, Json] | None = None, defaults: Mapping[str, Json] | None = None) -> Search:
    """Read the search in ``path``, and apply ``changes`` (dotted key -> value).

    defaults: values of dotted keys for what the file leaves open.

    A list among the changes makes a parameter of the space, any other value one that all trials share. Raises
    UsageError naming file, table, key, value and the valid values.
    """
    where = f"{path.name}: "
    table = {"name": path.stem, **toml.read(path)}
    from_mapping(SearchFile, table, where)  # checks the types of the values that are changed below
    set_open(table, defaults or {})
    for key, value in (changes or {}).items():
        _change(table, key, value)
    return parse(table, where)


def parse(table: Mapping[str, Json], where: str) -> Search:
    """Parse a table into a search. Raises UsageError with messages that begin with ``where``."""
    file = from_mapping(SearchFile, table, where)
    if file.name in ("", ".", "..") or "/" in file.name:
        raise bad_value(f"{where}name", file.name, "the name of a folder, without '/'")
    options = from_mapping(Options, file.search, f"{where}[search] ")
    shared = from_mapping(TrainSpec, file.train, f"{where}[train] ")
    resources = from_mapping(Resources, file.resources, f"{where}[resources] ")
    software = from_mapping(SoftwareSpec, file.software, f"{where}[software] ")
    check_ranks(resources, shared)
    if not (shared.evaluate and shared.communication):
        raise bad_value(f"{where}[train] evaluate", "false", "true: trials are judged on the test set")
    _check_names(shared.model, shared.data, f"{where}[train] ")
    _check_model(shared.model, shared.model_args, f"{where}[train] model_args keyword")
    space = _space(file, shared, where)
    grid = 0
    if options.method == "grid":
        grid = math.prod(len(points(values, f"{where}[space] {short(key)}")) for key, values in space.items())
        check_count(grid, f"{where}[space]")
        if options.trials not in (None, grid):
            raise bad_value(f"{where}[search] trials", options.trials, f"no value: the grid has {grid} points")
    trials = grid or options.trials
    check_count(trials or 0, f"{where}[search] trials")
    if trials is None:
        raise UsageError(f"{where}[search] trials: say how many, with method {options.method}")
    reference = tuple(_reported(row, f"{where}[[reference]] ") for row in file.reference)
    return Search(file.name, options, dict(file.train), space, resources, software, reference, dict(table), trials)


def _space(file: SearchFile, shared: TrainSpec, where: str) -> dict[str, Dimension]:
    """Return the parameters of a file by their full names, checked alone and against ``[train]``."""
    space: dict[str, Dimension] = {}
    for key, given in _flat(file.space).items():
        full = full_key(key, f"{where}[space] key")
        section, _, name = full.partition(".")
        if full in space:
            raise UsageError(f"{where}[space] {key}: is there twice")
        if name in (file.train if section == "train" else shared.model_args):
            raise UsageError(f"{where}[space] {key}: is in [train] too; leave one out")
        values = space[full] = dimension(full, given, f"{where}[space] {key}")
        if full in ("train.model", "train.data"):
            assert isinstance(values, Values)  # no number, so no range
            for value in values.items:
                named = {"model": shared.model, "data": shared.data, name: value}
                _check_names(named["model"], named["data"], f"{where}[space] ")
    if not space:
        raise UsageError(f"{where}[space]: there is nothing to search; name a field with a list of values or a range")
    if "train.model" not in space:
        given_words = [key.removeprefix("model.") for key in space if key.startswith("model.")]
        _check_model(shared.model, given_words, f"{where}[space] model keyword")
    return space


def full_key(key: str, name: str) -> str:
    """Return the full name of a parameter: ``optimizer`` is ``train.optimizer``, ``model.numnodes`` stays.

    Raises UsageError, which calls the key ``name``, for a field that cannot be searched.
    """
    section, dot, field = key.partition(".")
    if dot and section == "model" and field:
        return key
    fields = [field for field in hints(TrainSpec) if field not in _NOT_SEARCHED]
    plain = field if dot and section == "train" else key
    if plain not in fields:
        raise unknown_value(name, key, fields, forms=["model.KEYWORD"])
    return f"train.{plain}"


def _check_names(model: str, data: str, where: str) -> None:
    """Raise UsageError for an unknown network or data set."""
    try:
        check_model_name(model)
        check_data_name(data)
    except UsageError as error:
        raise UsageError(f"{where}{error}") from error


def _check_model(model: str, given: Iterable[str], where: str) -> None:
    """Raise UsageError for a keyword that the model's function does not take, if this is known without Keras."""
    known = keywords(model)
    for name in given if known else ():
        if name not in (known or ()):
            raise unknown_value(where, name, known or ())


def _flat(table: Mapping[str, Json]) -> dict[str, Json]:
    """Return the space with dotted keys: ``model.numnodes`` for the key ``numnodes`` of its table ``model``."""
    flat = {}
    for key, value in table.items():
        if key == "model" and isinstance(value, dict):
            flat.update({f"model.{name}": item for name, item in value.items()})
        elif key == "train" and isinstance(value, dict):
            flat.update({f"train.{name}": item for name, item in value.items()})
        else:
            flat[key] = value
    return flat


def _reported(row: Mapping[str, Json], where: str) -> tuple[dict[str, Json], float]:
    """Return the point and the accuracy of one row of ``[[reference]]``."""
    accuracy = row.get("accuracy")
    if isinstance(accuracy, bool) or not isinstance(accuracy, (int, float)):
        raise bad_value(f"{where}accuracy", accuracy, "a number")
    point = _flat({key: value for key, value in row.items() if key != "accuracy"})
    return {full_key(key, f"{where}key"): value for key, value in point.items()}, float(accuracy)


def _change(table: dict[str, Json], key: str, value: Json) -> None:
    """Apply one ``--set`` change: to a key of a table, or (for a list) to a parameter of the space."""
    section, dot, field = key.partition(".")
    if key in ("name", "description"):
        table[key] = value
        return
    if not (dot and section in (*_TABLES, "model")):
        homes = [name for name in ("train", "search", "resources", "software") if key in hints(_TABLES[name])]
        if not homes:
            raise unknown_value("--set", key, [*hints(TrainSpec), *hints(Options)], forms=["model.KEYWORD"])
        section, field = homes[0], key
    if section in ("search", "resources", "software"):
        table.setdefault(section, {})[field] = check_field(_TABLES[section], field, value, f"--set {key}")
        return
    full = full_key(f"{section}.{field}", "--set") if isinstance(value, list) else f"{section}.{field}"
    space = table["space"] = _flat(table.get("space", {}))
    for old in [name for name in space if full_key(name, "[space] key") == full]:
        del space[old]
    if isinstance(value, (list, dict)):
        space[full] = value
    elif section == "model":
        table.setdefault("train", {}).setdefault("model_args", {})[field] = value
    else:
        table.setdefault("train", {})[field] = value
