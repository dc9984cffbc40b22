"""The numbers of a diagnosis: the seconds of each part of an epoch, compared with the base case scaled ideally.

The parts of an epoch are those of docs/report.md, with one taken apart: of the exposed communication of an epoch, the
rank that had least of it waited for nobody, so that least is the cost of communication itself, and the rest is waiting
for slower ranks. Sets no thresholds and writes no words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hpcnn.analysis.scaling import TABLE
from hpcnn.analysis.table_runs import TableRuns, hosts_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from hpcnn.analysis.table_runs import Host
    from hpcnn.util.types import Json

# Weights, and so gradients, are float32 in every precision hpcnn trains with.
BYTES_PER_PARAMETER = 4
# Provenance is read of so many runs of a row: they repeat one configuration, and there may be thousands of them.
RUNS_READ = 3


@dataclass(frozen=True)
class Slowest:
    """The rank that computed longest, of a row with several.

    excess: its own work over the mean of all ranks, less 1. epochs: the fraction of epochs in which it was the slowest.
    host: where it ran, None where no run records it.
    """

    rank: int
    excess: float
    epochs: float
    host: str | None


@dataclass(frozen=True)
class Evidence:
    """The numbers of one row.

    row, base: the row of the table and its base case, by column. path, base_path: a run of each. parts: seconds of an
    epoch by part (compute, input, communication, waiting, other), empty where no run records them. lost: of each part,
    the fraction of the epoch beyond what the base case's part, scaled ideally, would take; they sum to 1 - efficiency.
    steps: training steps an epoch; tensors, bytes: gradients of a step, in number and in all. hosts: of one run each.
    """

    row: Mapping[str, Json]
    base: Mapping[str, Json]
    path: str
    base_path: str
    parts: Mapping[str, float]
    lost: Mapping[str, float]
    steps: float | None
    tensors: int | None
    bytes: int | None
    slowest: Slowest | None
    hosts: list[list[Host]] = field(repr=False)

    @property
    def seconds(self) -> float:
        """Median epoch time in s."""
        return float(self.row["epoch_seconds_median"])


def evidence_of(table: pd.DataFrame, table_runs: TableRuns) -> list[Evidence]:
    """Return the evidence of each row of a scaling table, in its order."""
    facts = _facts(table_runs)
    plain = {label: _plain(row) for label, row in zip(table.index, table.to_dict("records"), strict=True)}
    return [_evidence(plain, label, base, facts) for label, base in bases_of(table)]


@dataclass(frozen=True)
class _Facts:
    """Facts by row: its runs, the least exposed communication of a rank (s), steps an epoch, own seconds by rank."""

    runs: Mapping[Hashable, pd.DataFrame]
    least_communication: Mapping[Hashable, float]
    steps: Mapping[Hashable, float]
    own: Mapping[Hashable, pd.DataFrame]


def _facts(table_runs: TableRuns) -> _Facts:
    """Return the facts of all rows, in a few passes over all runs and epochs."""
    epochs = table_runs.epochs
    epochs = epochs.assign(own=epochs["seconds_compute"] + epochs["seconds_input"])
    whole = epochs.groupby(["row", "path", "epoch"])
    least = whole["seconds_communication"].min().groupby("row").median()
    epochs["longest"] = epochs["own"].eq(whole["own"].transform("max"))
    ranks = epochs.groupby(["row", "rank"]).agg(own=("own", "mean"), longest=("longest", "mean")).reset_index("rank")
    return _Facts(
        runs=dict(list(table_runs.runs.groupby("row"))),
        least_communication=least.to_dict(),
        steps=epochs.groupby("row")["steps"].median().to_dict(),
        own={row: ranks.loc[[row]] for row in ranks.index.unique()},
    )


def bases_of(table: pd.DataFrame) -> Iterator[tuple[Hashable, Hashable]]:
    """Yield each row's label with the label of its base case, by the text in ``base_case``, of its own table first.

    A row without a base case has itself.
    """
    anywhere = _labels_of_bases(table)
    for _, rows in table.groupby(TABLE, dropna=False):
        bases = {**anywhere, **_labels_of_bases(rows)}
        yield from ((label, bases.get(case, label)) for label, case in zip(rows.index, rows["base_case"], strict=True))


def _labels_of_bases(rows: pd.DataFrame) -> dict[str, Hashable]:
    bases = rows[rows["base"]]
    return dict(zip(bases["base_case"], bases.index, strict=True))


def _evidence(
    rows: Mapping[Hashable, Mapping[str, Json]], label: Hashable, of_base: Hashable, facts: _Facts
) -> Evidence:
    row, base = rows[label], rows[of_base]
    runs = facts.runs[label]
    paths = [str(path) for path in runs["path"]]
    hosts = [hosts_of(path) for path in paths[:RUNS_READ]]
    tensors, trainable = _first(runs, "tensors"), _first(runs, "trainable")
    parts = _parts(row, facts.least_communication.get(label))
    return Evidence(
        row=row,
        base=base,
        path=paths[0],
        base_path=str(facts.runs[of_base]["path"].iloc[0]),
        parts=parts,
        lost=_lost(row, base, parts),
        steps=_number(facts.steps.get(label)),
        tensors=tensors,
        bytes=None if trainable is None else trainable * BYTES_PER_PARAMETER,
        slowest=_slowest(facts.own.get(label), hosts),
        hosts=hosts,
    )


def _parts(row: Mapping[str, Json], least_communication: float | None) -> dict[str, float]:
    shares = {part: _number(row.get(f"share_{part}")) for part in ("compute", "input", "communication")}
    if any(share is None for share in shares.values()):
        return {}
    seconds = float(row["epoch_seconds_median"])
    parts = {part: float(share or 0.0) * seconds for part, share in shares.items()}
    parts["other"] = max(seconds - sum(parts.values()), 0.0)
    exposed, least = parts["communication"], _number(least_communication)
    parts["communication"] = exposed if least is None else min(exposed, least)
    parts["waiting"] = exposed - parts["communication"]
    return parts


def _lost(row: Mapping[str, Json], base: Mapping[str, Json], parts: Mapping[str, float]) -> dict[str, float]:
    """Return by part the fraction of the row's epoch beyond the base case scaled ideally.

    Ideal is p0/p of the base case's seconds in strong scaling, and all of them in weak scaling. Waiting in the base
    case counts as communication, of which it is a share.
    """
    if row["kind"] not in ("strong", "weak") or not parts:
        return {}
    of_base = _parts(base, None)
    if not of_base:
        return {}
    ideal = base["ranks"] / row["ranks"] if row["kind"] == "strong" else 1.0
    seconds = float(row["epoch_seconds_median"])
    return {part: (taken - ideal * of_base[part]) / seconds for part, taken in parts.items()}


def _slowest(own: pd.DataFrame | None, hosts: list[list[Host]]) -> Slowest | None:
    if own is None or len(own) < 2 or own["own"].isna().any() or not own["own"].mean() > 0:
        return None
    at = own.iloc[int(np.argmax(own["own"].to_numpy(dtype="float64")))]
    names = {host.rank: host.host for host in (hosts[0] if hosts else [])}
    excess = float(at["own"] / own["own"].mean() - 1)
    return Slowest(int(at["rank"]), excess, float(at["longest"]), names.get(int(at["rank"])))


def _plain(row: Mapping[Hashable, Json]) -> dict[str, Json]:
    return {str(key): None if pd.isna(value) else value for key, value in row.items()}


def _number(value: Json) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _first(runs: pd.DataFrame, column: str) -> int | None:
    values = list(runs[column].dropna()) if column in runs else []
    return int(values[0]) if values else None
