"""The series of sizes in a scaling table, and the runs of each row.

Fits, predictions and advice start from these; must not import them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.analysis.base import SIZE, row_name, series_of
from hpcnn.analysis.columns import text_or
from hpcnn.analysis.configuration import TABLE
from hpcnn.analysis.measured import counted_runs, epoch_times

if TYPE_CHECKING:
    import pandas as pd

    from hpcnn.analysis.load import RunData


def settings_of(table: pd.DataFrame) -> list[str]:
    """Return the columns of a scaling table in which its rows may differ, beside their size."""
    columns = list(table.columns)
    return [key for key in columns[: columns.index("runs")] if key not in (*TABLE, *SIZE)]


def ranks_per_node(rows: pd.DataFrame) -> int:
    """Return how many ranks share a node in the largest size of a series; 1 where no run records nodes."""
    largest = rows.iloc[-1]
    nodes = largest["nodes"]
    return max(1, -(-int(largest["ranks"]) // int(nodes))) if nodes == nodes and nodes else 1


def scaling_series(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return each series of strong or weak scaling in ``table``: a label, and its rows by size.

    The rows of a series differ in size alone. Tables of other kinds have no series.
    """
    scaled = table[table["kind"].isin(["strong", "weak"])]
    settings = settings_of(table)
    found = []
    for _, rows in scaled.groupby(TABLE, dropna=False):
        parts = series_of(rows, settings)
        for part in parts:
            ordered = part.sort_values([*SIZE, *settings], kind="stable")
            found.append((_label(rows, ordered, settings, alone=len(parts) == 1), ordered))
    return found


def _label(rows: pd.DataFrame, series: pd.DataFrame, settings: list[str], *, alone: bool) -> str:
    first = series.iloc[0]
    what = text_or(first["model"], text_or(first["program"]))
    data = f" on {first['data']}" if text_or(first["data"], "") else ""
    label = f"{text_or(first['study'], 'runs of no study')}: {first['kind']} scaling of {what}{data}"
    if alone:
        return label
    _, _, varying = row_name(rows, series.index[0], settings).partition(", ")
    return f"{label}, {varying}" if varying else label


def runs_of(data: RunData, rows: pd.DataFrame, warmup: int = 1) -> pd.DataFrame:
    """Return one row for each run of ``rows`` (of a scaling table), by size and seconds, in whatever order ``data`` is.

    Columns: ``row`` (the index label in ``rows``), ``path``, ``ranks``, ``seconds`` (the median of the run's own
    measured epochs, in s), ``job_seconds`` (of the whole run, in s; its epochs alone where that was not recorded),
    ``cores`` (of the whole run; one a task where the run left it open), ``trainable`` (parameters with gradients) and
    ``allreduce_bytes`` (what its ranks exchange in a step, as docs/run-directory.md has it).
    """
    keys = [*TABLE, *settings_of(rows), *SIZE]
    runs = counted_runs(data, warmup).rename(columns={"world_size": "ranks"})
    seconds = epoch_times(data, warmup).groupby("path")["seconds"].median().rename("seconds")
    labels = rows[keys].assign(row=rows.index)
    found = runs.merge(labels, on=keys).merge(seconds, left_on="path", right_index=True)
    cores = (found["ntasks"].fillna(found["ranks"]) * found["cpus_per_task"].fillna(1)).astype("int64")
    job = found["seconds_total"].fillna(found["epochs"].astype("float64") * found["seconds"])
    found = found.assign(cores=cores, ranks=found["ranks"].astype("int64"), job_seconds=job)
    columns = ["row", "path", "ranks", "seconds", "job_seconds", "cores", "trainable", "allreduce_bytes"]
    return found[columns].sort_values(["ranks", "seconds", "path"]).reset_index(drop=True)
