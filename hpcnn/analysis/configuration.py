"""What makes two runs the same measurement repeated: the configuration of a run, and the table it belongs to.

A configuration is everything that defines a run except its repeat and seed. Must not know times or statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hpcnn.analysis.base import SIZE
from hpcnn.util.errors import unknown_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

# Rows that differ in one of these are not compared: they belong to different tables, unless asked for otherwise.
TABLE = ["study", "kind", "model", "data", "program", "cpu_model", "device"]
# What a row of a table may set beside its size; the axes and options that vary come after these.
SETTINGS = ["strategy", "precision", "samples", "batch_size", "cpus_per_task"]

_AXES = ("point_", "train_")
# What may separate tables too, though it does not tell configurations apart by itself.
_PLACES = ["site", "host", "hpcnn"]
# How a run was judged, not what it did.
_NO_AXES = ("train_communication", "train_profile")


class Configured(NamedTuple):
    """Runs with the label of their configuration in ``row``, and the columns that make it.

    ``runs`` has ``ranks`` for ``world_size``. Of ``keys``, ``tables`` separate tables, ``apart`` are never compared
    within one, ``settings`` (``apart`` are among them) may vary in one, and the rest is SIZE.
    """

    runs: pd.DataFrame
    keys: list[str]
    tables: list[str]
    apart: list[str]
    settings: list[str]

    @property
    def rows(self) -> pd.DataFrame:
        """One row a configuration, its label the index, in the order in which they are read."""
        return self.runs.drop_duplicates("row").set_index("row").sort_index()[self.keys]


def configured(runs: pd.DataFrame, by: Sequence[str] | None = None) -> Configured:
    """Return the ``runs`` with their configurations; ``by``: columns that separate tables, instead of TABLE.

    What would separate them by default and does not now stays apart within a table, each with a base case of its own.
    Strong and weak scaling are always separate. Raises UsageError for a column that cannot separate tables.
    """
    runs = runs.rename(columns={"world_size": "ranks"})
    tables = TABLE if by is None else _separating(runs, by)
    extra = [key for key in tables if key not in (*TABLE, *SETTINGS, *SIZE)]
    apart = [key for key in TABLE if key not in tables]
    axes = [key for key in _varying_axes(runs, tables) if key not in extra]
    keys = [*TABLE, *extra, *SETTINGS, *axes, *SIZE]
    labelled = runs.assign(row=runs.groupby(keys, dropna=False).ngroup())
    settings = [*apart, *(key for key in (*SETTINGS, *axes) if key not in tables)]
    return Configured(labelled, keys, tables, apart, settings)


def _separating(runs: pd.DataFrame, by: Sequence[str]) -> list[str]:
    axes = [key for key in runs if isinstance(key, str) and key.startswith((*_AXES, "version_"))]
    valid = [*TABLE, *SETTINGS, *SIZE, *_PLACES, *axes]
    for name in by:
        if name not in valid:
            raise unknown_value("--by", name, valid)
    return list(dict.fromkeys([*by, "kind"]))


def _varying_axes(runs: pd.DataFrame, tables: Sequence[str]) -> list[str]:
    """Return the axes and options that tell rows of one table apart and have no column of another name."""
    columns = {*runs, "world_size", "devices"}
    axes = [key for key in runs if isinstance(key, str) and key.startswith(_AXES) and key not in _NO_AXES]
    own = [key for key in axes if not _has_other_column(key, columns)]
    if not own or runs.empty:
        return []
    differs = runs.groupby(list(tables), dropna=False)[own].nunique(dropna=False).gt(1).any()
    varying = [key for key in own if differs[key]]
    # an axis `model.numfm` is also a keyword in `model_args`, `augment.zoom` one in `augment`: one column says it
    told = any(key.startswith("point_") for key in varying)
    tables = ("train_model_args", "train_data_args", "train_augment")
    return [key for key in varying if not (told and key in tables)]


def _has_other_column(key: str, columns: set[Any]) -> bool:
    """Whether an axis ``point_ntasks`` or ``point_train.loss`` only repeats ``ntasks`` or ``train_loss``."""
    if not key.startswith("point_"):
        return False
    name = key.removeprefix("point_").rpartition(".")[2]
    return name in columns or f"train_{name}" in columns
