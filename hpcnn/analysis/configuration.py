"""The configuration of a run, by which runs are repeats of each other, and the table that it belongs to.

A configuration is everything that defines a run except its repeat and seed. Must not import times or statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hpcnn.analysis.base import SIZE
from hpcnn.util.errors import unknown_value

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import pandas as pd

# Rows that differ in one of these belong to different tables, unless the user names other columns (--by).
TABLE = ["study", "kind", "model", "data", "program", "cpu_model", "device"]
# Columns in which rows of one table may differ, beside the size; the axes and options that vary come after these.
SETTINGS = ["strategy", "precision", "samples", "batch_size", "cpus_per_task"]

_AXES = ("point_", "train_")
# Columns that may separate tables too, though they are no part of a configuration by default.
_PLACES = ["site", "host", "hpcnn"]
# Options of how a run was measured, not of what it did.
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

    Rows that differ in a column of TABLE which is not in ``by`` share a table, each kind with a base case of its own.
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
    # an axis `model.numfm` is also a keyword in `model_args`, `augment.zoom` one in `augment`: one column is enough
    has_axes = any(key.startswith("point_") for key in varying)
    with_keywords = ("train_model_args", "train_data_args", "train_augment")
    return [key for key in varying if not (has_axes and key in with_keywords)]


def _has_other_column(key: str, columns: set[Hashable]) -> bool:
    """Return whether an axis ``point_ntasks`` or ``point_train.loss`` only repeats ``ntasks`` or ``train_loss``."""
    if not key.startswith("point_"):
        return False
    name = key.removeprefix("point_").rpartition(".")[2]
    return name in columns or f"train_{name}" in columns
