"""Run directories as two pandas tables: one row a run, and one row a run, epoch and rank.

Every run below the directories given is in the tables, completed or not; ``measured.py`` decides which of them count.
The order in which directories are named or found changes nothing. Computes nothing.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hpcnn.analysis.archive import SUFFIX, unpacked
from hpcnn.analysis.cache import read_cached
from hpcnn.analysis.collect import read_runs
from hpcnn.analysis.columns import encodable, frame
from hpcnn.rundir.layout import holds_run
from hpcnn.rundir.usage import COLUMNS as USAGE_COLUMNS
from hpcnn.util.errors import UsageError, not_there

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    "cores_held": "Int64",
    "gpus_held": "Int64",
    "host_cores": "Int64",
    "host_gpus": "Int64",
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
    "tensors": "Int64",
    "allreduce_bytes": "Int64",
    "threads": "Int64",
    "flops_training": "Int64",
    "bytes_per_sample": "Int64",
    "bytes_per_step": "Int64",
    "host": "string",
    "cpu_model": "string",
    "device": "string",
    "hpcnn": "string",
    **USAGE_COLUMNS,
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
    "profiled": "boolean",
    "steps_timed": "Int64",
    "step_seconds_mean": "float64",
    "step_seconds_variance": "float64",
    "step_skewness": "float64",
    "step_seconds_sum_of_maxima": "float64",
    "metric_accuracy": "float64",
    "validation_loss": "float64",
    "validation_accuracy": "float64",
}

# Columns of epochs that are the same in all epochs of a run.
_OF_RUN = ("path", "run")


class _Tables(NamedTuple):
    runs: pd.DataFrame
    epochs: pd.DataFrame


@dataclass(frozen=True)
class Measured:
    """What the functions of these names in ``measured.py`` found, by the warm-up that they were given.

    Most tables of a report need it, and take it from here.
    """

    epoch_times: dict[int, pd.DataFrame] = field(default_factory=dict)
    left_out: dict[int, pd.DataFrame] = field(default_factory=dict)


class RunData(_Tables):
    """The two tables; ``path`` identifies a run in both. Nobody changes them in place.

    ``runs`` has the columns RUN_COLUMNS, and one for each ``point_<axis>``, ``train_<option>`` and
    ``version_<package>`` that any run has. ``epochs`` has the columns EPOCH_COLUMNS, and one for each further
    ``metric_<name>`` and ``validation_<name>`` that some rank knows. Times are in seconds, ``batch_size`` is the
    global one, and ``samples`` of an epoch are those of the rank.
    """

    @functools.cached_property
    def measured(self) -> Measured:
        """What ``measured.py`` found in these tables so far."""
        return Measured()

    def _repr_html_(self) -> str:
        """Return both tables as a notebook shows each, cut to what pandas' options allow."""
        shown = ((name, len(table), table._repr_html_()) for name, table in self._asdict().items())
        return "".join(f"<p><strong>{name}</strong>, {rows} rows</p>{table}" for name, rows, table in shown)


def load(*dirs: str | os.PathLike[str], cache: bool = True) -> RunData:
    """Read every run directory at or below ``dirs``, sorted by path; a run named twice is read once.

    One of ``dirs`` may be an archive of ``hpcnn scaling-report --export archive`` (``.tar.gz``).

    cache: take unchanged runs from the cache (``cache.py``); the tables are the same.

    The column ``problem`` says what is missing or damaged in a run. Raises UsageError for a path that is no directory
    and for a directory that holds no run. Symbolic links below ``dirs`` are not followed.
    """
    dirs = tuple(unpacked(Path(d)) if _is_archive(d) else d for d in dirs)
    paths, of_epochs = find_runs(*dirs), {key: EPOCH_COLUMNS[key] for key in EPOCH_COLUMNS if key not in _OF_RUN}
    runs = read_cached([Path(d).resolve() for d in dirs], paths, of_epochs) if cache else read_runs(paths, of_epochs)
    whose = {key: np.array([encodable(row[key]) for row in runs.rows], object).repeat(runs.counts) for key in _OF_RUN}
    first = {key: pd.Series(values, dtype="string") for key, values in whose.items()}
    return RunData(frame(runs.rows, RUN_COLUMNS), runs.epochs.frame(first, of_epochs))


def _is_archive(place: str | os.PathLike[str]) -> bool:
    return os.fspath(place).endswith(SUFFIX) and Path(place).is_file()


def find_runs(*dirs: str | os.PathLike[str]) -> list[Path]:
    """Return the run directories at or below ``dirs``, absolute and sorted. Raises as ``load`` does."""
    found: set[Path] = set()
    for directory in dirs:
        if not Path(directory).is_dir():
            raise not_there("DIR", str(directory), "a directory that holds run directories")
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
        if holds_run(files):
            subdirectories.clear()
            yield Path(directory)
    yield from closed
