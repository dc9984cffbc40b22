"""Run directories as two pandas tables: one row a run, and one row a run, epoch and rank.

Every run below the directories given is in the tables, whatever became of it; what counts is decided later
(``measured.py``). The order in which directories are named or found changes nothing. Must not compute.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from hpcnn.errors import UsageError, bad_value
from hpcnn.report.read import read_run
from hpcnn.rundir import RunDir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

RUN_COLUMNS = {
    "path": "string",
    "run": "string",
    "study": "string",
    "kind": "string",
    "name": "string",
    "repeat": "Int64",
    "site": "string",
    "model": "string",
    "data": "string",
    "samples": "Int64",
    "strategy": "string",
    "precision": "string",
    "program": "string",
    "nodes": "Int64",
    "ntasks": "Int64",
    "world_size": "Int64",
    "cpus_per_task": "Int64",
    "batch_size": "Int64",
    "seed": "Int64",
    "train_communication": "boolean",
    "status": "string",
    "exit_code": "Int64",
    "reason": "string",
    "epochs": "Int64",
    "seconds_total": "float64",
    "seconds_to_target": "float64",
    "finished_at": "string",
    "job_id": "string",
    "test_accuracy": "float64",
    "test_loss": "float64",
    "parameters": "Int64",
    "trainable": "Int64",
    "host": "string",
    "cpu_model": "string",
    "device": "string",
    "hpcnn": "string",
    "problem": "string",
}

EPOCH_COLUMNS = {
    "path": "string",
    "run": "string",
    "epoch": "int64",
    "rank": "int64",
    "seconds_total": "float64",
    "seconds_compute": "float64",
    "seconds_communication": "float64",
    "seconds_input": "float64",
    "seconds_other": "float64",
    "seconds_evaluation": "float64",
    "seconds_since_start": "float64",
    "samples": "Int64",
    "steps": "Int64",
    "loss": "float64",
    "learning_rate": "float64",
    "resumed": "boolean",
    "metric_accuracy": "float64",
    "validation_loss": "float64",
    "validation_accuracy": "float64",
}


class RunData(NamedTuple):
    """The two tables; ``path`` identifies a run in both.

    ``runs`` has the columns RUN_COLUMNS, and one for each ``point_<axis>``, ``train_<option>`` and
    ``version_<package>`` that any run has. ``epochs`` has the columns EPOCH_COLUMNS, and one for each further
    ``metric_<name>`` and ``validation_<name>``. Times are in seconds, ``batch_size`` is the global one, and
    ``samples`` of an epoch are those of the rank.
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame


def load(*dirs: str | os.PathLike[str]) -> RunData:
    """Read every run directory at or below ``dirs``, sorted by path; a run named twice is read once.

    What is missing or damaged in a run is told in its ``problem``. Raises UsageError for what is not a
    directory and for a directory that holds no run. Symbolic links below ``dirs`` are not followed.
    """
    records = [read_run(path) for path in find_runs(*dirs)]
    return RunData(
        runs=_frame([record.run for record in records], RUN_COLUMNS),
        epochs=_frame([row for record in records for row in record.epochs], EPOCH_COLUMNS),
    )


def find_runs(*dirs: str | os.PathLike[str]) -> list[Path]:
    """Return the run directories at or below ``dirs``, absolute and sorted. Raises as ``load`` does."""
    found: set[Path] = set()
    for directory in dirs:
        if not Path(directory).is_dir():
            raise bad_value("DIR", str(directory), "a directory that holds run directories")
        runs = set(_runs_below(Path(directory).resolve()))
        if not runs:
            raise UsageError(f"DIR: {str(directory)!r} holds no run directory (one with a spec.json in it)")
        found |= runs
    return sorted(found)


def _runs_below(top: Path) -> Iterator[Path]:
    # A directory that may not be listed is taken for a run: it then shows up as one that cannot be read.
    closed: list[Path] = []
    walk = os.walk(top, onerror=lambda error: closed.append(Path(error.filename)))
    for directory, subdirectories, files in walk:
        run = RunDir(directory)
        if run.spec.name in files or run.result.name in files or run.epoch_files():
            subdirectories.clear()
            yield Path(directory)
    yield from closed


def _frame(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Return a table of ``rows`` with the columns of ``dtypes``, and after them all others, by name."""
    others = sorted({key for row in rows for key in row} - dtypes.keys())
    columns = {key: [row.get(key) for row in rows] for key in (*dtypes, *others)}
    of = {key: dtypes.get(key) or _inferred(values) for key, values in columns.items()}
    return pd.DataFrame(
        {key: pd.Series([_AS[of[key]](v) for v in values], dtype=of[key]) for key, values in columns.items()}
    )


def _inferred(values: Sequence[Any]) -> str:
    known = [value for value in values if value is not None]
    if all(_integer(value) is not None for value in known):
        return "Int64"
    return "float64" if all(_number(value) is not None for value in known) else "string"


def _integer(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and -(2**63) <= value < 2**63 else None


def _number(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and abs(value) <= sys.float_info.max else None


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True)


# What is not of its column's type is as good as missing.
_AS: dict[str, Callable[[Any], Any]] = {
    "string": _text,
    "Int64": _integer,
    "int64": _integer,
    "float64": _number,
    "boolean": lambda value: value if isinstance(value, bool) else None,
}
