"""What each configuration used: memory, input, energy, and how busy its GPUs were, from the record of its runs.

Must not import formats or views.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hpcnn.analysis.base import SIZE
from hpcnn.analysis.configuration import TABLE
from hpcnn.analysis.series import settings_of
from hpcnn.analysis.table_runs import runs_of_table
from hpcnn.analysis.units import with_units
from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpcnn.analysis.load import RunData

JOULES_PER_KWH = 3.6e6
_LARGEST = (
    *("memory_peak_bytes", "memory_least_bytes", "node_memory_bytes", "gpu_memory_peak_bytes"),
    "gpu_utilization_max",
)
_MEDIANS = (
    "read_bytes",
    "storage_read_bytes",
    "written_bytes",
    "data_seconds",
    "staging_seconds",
    "gpu_utilization_mean",
)


def usage_table(
    data: RunData, table: pd.DataFrame, warmup: int = 1, joules: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Return one row for each row of a scaling ``table``: what its runs used.

    Columns: those of the configuration; ``runs``; over all runs, ``memory_peak_bytes`` (of the rank that held the most)
    and ``memory_peak_rank``, ``memory_least_bytes`` (of the rank that held the least, in the run where it was most),
    ``node_memory_bytes`` (the largest sum over the ranks of a host), ``gpu_memory_peak_bytes``,
    ``gpu_utilization_max``; medians over runs of ``read_bytes``, ``storage_read_bytes``, ``written_bytes`` (a run, of
    all ranks), ``data_seconds`` (until the data were read), ``staging_seconds`` (after that, of copying them to local
    disks), ``input_seconds`` (an epoch, of the rank that waited longest), ``gpu_utilization_mean``; ``energy_kwh`` and
    ``energy_source`` (see ``energy_of_rows``).
    """
    runs, epochs = runs_of_table(data, table, warmup)
    runs = runs.join(pd.DataFrame([_data_seconds(path) for path in runs["path"]], index=runs.index, dtype="float64"))
    of_row = runs.groupby("row")
    found = of_row[list(_LARGEST)].max().join(of_row[list(_MEDIANS)].median())
    held = runs.dropna(subset=["memory_peak_bytes"]).sort_values(["memory_peak_bytes", "path"])
    found["memory_peak_rank"] = held.groupby("row")["memory_peak_rank"].last().reindex(found.index)
    waited = epochs.groupby(["row", "path", "epoch"])["seconds_input"].max()
    found["input_seconds"] = waited.groupby(["row", "path"]).median().groupby("row").median().reindex(found.index)
    found = found.join(energy_of_rows(runs, joules))
    order = [
        *("memory_peak_bytes", "memory_peak_rank", "memory_least_bytes", "node_memory_bytes", "gpu_memory_peak_bytes"),
        *("read_bytes", "storage_read_bytes", "written_bytes", "data_seconds", "staging_seconds", "input_seconds"),
        *("gpu_utilization_mean", "gpu_utilization_max", "energy_kwh", "energy_source"),
    ]
    rows = table[[*TABLE, *settings_of(table), *SIZE, "runs"]]
    return with_units(rows.join(found.reindex(columns=order)))


def energy_of_rows(runs: pd.DataFrame, joules: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Return ``energy_kwh``, the median over runs, and ``energy_source`` of each row of ``runs``, which have ``row``.

    joules: of whole jobs, by the path of a run, as Slurm accounts for them: they count where they are known, and the
    record where not. A row whose runs were measured differently has each source in its name.
    """
    accounted = runs["path"].map(dict(joules or {})).astype("float64")
    spent = accounted.fillna(runs["energy_joules"].astype("float64"))
    source = runs["energy_source"].astype(object).where(accounted.isna(), "sacct").where(spent.notna())
    names = source.dropna().groupby(runs["row"]).agg(lambda found: ", ".join(sorted(set(found))))
    kwh = spent.groupby(runs["row"]).median() / JOULES_PER_KWH
    return pd.DataFrame({"energy_kwh": kwh, "energy_source": names.reindex(kwh.index).astype("string")})


def _data_seconds(path: str) -> dict[str, Any]:
    """Return the seconds of a run until its data were there, and of copying them to local disks."""
    begin, found = None, dict[str, Any].fromkeys(("data_seconds", "staging_seconds"))
    try:
        for event in read_lines(RunDir(Path(path)).events):
            key, seconds, value = (event.get(name) for name in ("key", "seconds", "value"))
            if key == "init_start":
                begin = seconds
            elif key == "data_stop" and isinstance(begin, (int, float)) and isinstance(seconds, (int, float)):
                found["data_seconds"] = seconds - begin
            elif key in ("copied_to_local_disk", "staged") and isinstance(value, (int, float)):
                found["staging_seconds"] = value  # a job makes one kind of copies
    except OSError:
        pass
    return found
