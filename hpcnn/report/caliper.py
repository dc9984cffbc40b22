"""Export of the runs of a report as Caliper's split JSON, one file a run, which Hatchet and Thicket read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd

from hpcnn.analysis.table_runs import runs_of_table
from hpcnn.util.errors import UsageError
from hpcnn.util.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Json

# The parts of an epoch's time are its children; evaluation comes after it.
_PARTS = ("input", "compute", "communication", "other")
_ALWAYS = ("training", "epoch")
_NODES = (*_ALWAYS, *_PARTS, "evaluation")
_PARENTS = {"epoch": "training", "evaluation": "training", **dict.fromkeys(_PARTS, "epoch")}
# Hatchet takes the order of the nodes from the first column of the first rows, which are those of rank 0.
_COLUMNS = ("Node order", "path", "mpi.rank", "sum#time.duration", "inclusive#sum#time.duration", "epochs", "samples")
# Facts of a run; two have other names than in hpcnn's tables, which Caliper's own sections have taken.
_RENAMED = {"data": "data_set", "nodes": "number_of_nodes"}
_METADATA = (
    *("run", "study", "kind", "model", "data", "program", "strategy", "precision", "samples", "batch_size", "seed"),
    *("repeat", "nodes", "ntasks", "ranks", "cpus_per_task", "site", "host", "cpu_model", "device", "hpcnn"),
    *("test_accuracy", "finished_at"),
)


def write_caliper(folder: Path, data: RunData, table: pd.DataFrame, warmup: int) -> None:
    """Write a file for each run of a scaling ``table``: seconds of its measured epochs by rank and part, and facts.

    Raises UsageError for a folder that holds something already: Thicket reads every file there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--export: {str(folder)!r} is there already; thicket wants the name of a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    found = runs_of_table(data, table, warmup)
    of_run = dict(list(found.epochs.groupby("path")))
    for number, run in enumerate(found.runs.to_dict("records")):
        epochs = of_run[run["path"]]
        names = [name for name in _NODES if name in _ALWAYS or epochs[f"seconds_{name}"].notna().any()]
        content = {
            "data": list(_rows(epochs, names)),
            "columns": list(_COLUMNS),
            "column_metadata": [{"is_value": column != "path"} for column in _COLUMNS],
            "nodes": [_node(name, names) for name in names],
            **{_RENAMED.get(key, key): _plain(run[key]) for key in _METADATA},
        }
        write_text(folder / f"{number:05d}.json", json.dumps(content, allow_nan=False) + "\n")


def _node(name: str, names: Sequence[str]) -> dict[str, Json]:
    above = {"parent": names.index(_PARENTS[name])} if name in _PARENTS else {}
    return {"label": name, "column": "path", **above}


def _rows(epochs: pd.DataFrame, names: Sequence[str]) -> Iterator[list[Json]]:
    """Yield a row for each rank and part: its own seconds, and those with the parts below it."""
    sums = epochs.groupby("rank")[[f"seconds_{part}" for part in ("total", *_PARTS, "evaluation")]].sum()
    counts = epochs.groupby("rank").agg(epochs=("epoch", "size"), samples=("samples", "sum"))
    for rank, row, work in zip(sums.index.tolist(), sums.to_dict("records"), counts.to_numpy().tolist(), strict=True):
        seconds = {part: float(row[f"seconds_{part}"]) for part in (*_PARTS, "evaluation")}
        epoch = float(row["seconds_total"])
        times = {part: (value, value) for part, value in seconds.items()}
        times["training"] = 0.0, epoch + seconds["evaluation"]
        times["epoch"] = max(epoch - sum(seconds[part] for part in _PARTS), 0.0), epoch
        for place, name in enumerate(names):
            yield [place, place, rank, *times[name], *map(int, work)]


def _plain(value: Json) -> Json:
    """Return a value of a table as JSON has it."""
    return None if pd.isna(value) else value.item() if hasattr(value, "item") else value
