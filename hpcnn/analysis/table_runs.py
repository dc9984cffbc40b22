"""The runs of a scaling table: their epochs, hosts and options, which the table summarises.

Figures and diagnoses read them from here; this module draws and concludes nothing.
"""

from __future__ import annotations

import dataclasses
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from hpcnn.analysis.base import SIZE, row_name
from hpcnn.analysis.measured import epoch_times, left_out
from hpcnn.analysis.scaling import TABLE
from hpcnn.analysis.series import settings_of
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.command_line import ALWAYS_OF_TRAINING, options_of
from hpcnn.specs.fields import Spec, from_mapping
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec, without_secrets
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import HpcnnError
from hpcnn.util.files import read_json
from hpcnn.util.host import facts_by_rank

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from pathlib import Path

    import pandas as pd

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Json


class Host(NamedTuple):
    """One rank's entry of provenance.json: where it ran, on which cores, with how many threads.

    ``threads`` is the largest of the variables that set a number of threads; without one, a thread for each core that
    the rank may use, which is what TensorFlow starts.
    """

    rank: int
    host: str
    cores: frozenset[int]
    threads: int


class TableRuns(NamedTuple):
    """The counted runs of a table, one line each, and their measured epochs, one line an epoch and rank.

    ``row`` is in both the index label of the table's row. ``runs`` are by path and have ``ranks`` for ``world_size``;
    ``epochs`` are by path, epoch and rank.
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame

    def of_rows(self, labels: pd.Index[Any]) -> TableRuns:
        """Return the runs and epochs of the rows with these index labels alone."""
        return TableRuns(*(frame[frame["row"].isin(labels)] for frame in self))


def runs_of_table(data: RunData, table: pd.DataFrame, warmup: int = 1) -> TableRuns:
    """Return the runs of ``data`` that ``table`` has a row for, and their epochs after the warm-up."""
    runs = _labelled_runs(data, table, warmup)
    timed = epoch_times(data, warmup)[["path", "epoch"]].merge(runs[["path", "row"]], on="path")
    epochs = data.epochs.merge(timed, on=["path", "epoch"]).sort_values(["path", "epoch", "rank"])
    return TableRuns(runs, epochs.reset_index(drop=True))


def _labelled_runs(data: RunData, table: pd.DataFrame, warmup: int) -> pd.DataFrame:
    """Return the counted runs of ``data`` that ``table`` has a row for, by path; ``row`` is that row's index label."""
    out = set(left_out(data, warmup)["path"])
    runs = data.runs[~data.runs["path"].isin(out)].rename(columns={"world_size": "ranks"})
    keys = [*TABLE, *settings_of(table), *SIZE]
    labels = table[keys].assign(row=table.index)
    return runs.merge(labels, on=keys).sort_values("path").reset_index(drop=True)


def row_names(table: pd.DataFrame) -> dict[Hashable, str]:
    """Return the name of each row of ``table`` by its index label: its study, and what differs from other rows."""
    names = {}
    settings = settings_of(table)
    for _, part in table.groupby(TABLE, dropna=False):
        studies = part["study"].astype(object).to_dict()
        for label in part.index:
            what = row_name(part, label, settings)
            names[label] = f"{studies[label]}: {what}" if isinstance(studies[label], str) else what
    return names


def provenance_of(path: str | Path) -> Mapping[str, Json]:
    """Return the provenance of the run directory ``path``; empty where it is missing or damaged."""
    return _read(RunDir(path).provenance)


def hosts_of(path: str | Path) -> list[Host]:
    """Return where each rank of a run was, by rank. What is damaged is left out."""
    hosts = [_host(entry) for entry in facts_by_rank(provenance_of(path).get("hosts"))]
    return sorted(host for host in hosts if host is not None)


def training_of(path: str | Path) -> Mapping[str, Json]:
    """Return the options of training of the run directory ``path``; empty where it records none."""
    asked = _read(RunDir(path).spec).get("train")
    return asked if isinstance(asked, dict) else {}


def submit_command(path: str | Path, **changes: Json) -> str | None:
    """Return the ``hpcnn submit`` that runs the same as the run directory ``path``, with fields of its spec changed.

    None where the directory does not record the command or the training.
    """
    spec = _read(RunDir(path).spec)
    if "ntasks" in changes:
        changes["ntasks_per_node"] = None
    try:
        if "ntasks" in changes and spec["resources"].get("gpus_per_task"):
            changes["gpus_per_node"] = None
        words = ["hpcnn", "submit", *(["--site", spec["site"]] if spec.get("site") not in (None, "local") else [])]
        words += options_of(_changed(Resources, spec["resources"], changes))
        words += options_of(_changed(SoftwareSpec, without_secrets(spec.get("software") or {}), changes))
        if spec.get("program"):
            return shlex.join([*words, "--", *map(str, spec["program"])])
        asked = _changed(TrainSpec, {**spec["train"]}, changes)
        return shlex.join([*words, *options_of(asked, ALWAYS_OF_TRAINING)])
    except (HpcnnError, KeyError, TypeError, AttributeError):
        return None


def _changed(cls: type[Spec], asked: Mapping[str, Json] | None, changes: Mapping[str, Json]) -> Spec:
    """Return a recorded spec with ``changes``; keys that this version of hpcnn does not know are left out."""
    names = {f.name for f in dataclasses.fields(cls)}
    merged = {**(asked or {}), **changes}
    return from_mapping(cls, {key: value for key, value in merged.items() if key in names})


def _read(file: Path) -> Mapping[str, Json]:
    try:
        return read_json(file) or {}
    except OSError:
        return {}


def _host(entry: Mapping[str, Json]) -> Host | None:
    rank, name, cores = entry.get("rank"), entry.get("host"), entry.get("cores_allowed")
    if not isinstance(rank, int) or not isinstance(name, str):
        return None
    allowed = frozenset(core for core in cores if isinstance(core, int)) if isinstance(cores, list) else frozenset()
    return Host(rank, name, allowed, _threads(entry.get("threads")) or len(allowed) or 1)


def _threads(variables: Json) -> int | None:
    # OMP_NUM_THREADS may be a list, one number a nesting level (OpenMP 5.2, section 21.2.2)
    texts = variables.values() if isinstance(variables, dict) else ()
    numbers = [int(first) for text in texts if (first := str(text).partition(",")[0].strip()).isdecimal()]
    return max((number for number in numbers if number > 0), default=None)
