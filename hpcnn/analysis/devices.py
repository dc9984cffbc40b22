"""The lectures' table: the same training on a CPU and on a GPU, for each size of the data.

The lectures' own numbers stand beside the measured ones as references, never mixed with them. Must not import files or
formats.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from hpcnn.analysis.configuration import configured
from hpcnn.analysis.measured import counted_runs, epoch_times
from hpcnn.analysis.units import with_units

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Json

    Row = dict[Hashable, Json]

MEASURED = "measured"
LECTURE = "SciNet lectures, E. Spence, 2017, 2024 and 2026"

# What the lectures print: images, seconds an epoch and in all on the CPU, the same on the GPU. (21 min 4 s; 100 min;
# 2 min 43 s; 15 min.) They name the processors, and neither the network nor the batch size nor the number of epochs;
# the totals are about 30 epochs.
_PUBLISHED = ((50_000, 41.0, 1264.0, 4.0, 163.0), (250_000, 198.0, 6000.0, 26.0, 900.0))
_CPU, _GPU = "POWER8 CPU", "P100 GPU"

# Runs that differ in one of these did not do the same work.
WORK = ["model", "data", "program", "samples", "batch_size", "epochs"]
_COLUMNS = {
    "source": "string",
    **dict.fromkeys(("model", "data", "program"), "string"),
    **dict.fromkeys(("samples", "batch_size", "epochs"), "Int64"),
    **dict.fromkeys(("device", "strategy"), "string"),
    **dict.fromkeys(("ranks", "cpus_per_task", "runs"), "Int64"),
    **dict.fromkeys(("first_epoch_seconds", "epoch_seconds", "total_seconds"), "float64"),
    **dict.fromkeys(("speedup_epoch", "speedup_total"), "float64"),
    "compared_with": "string",
}


def cpu_vs_gpu(data: RunData, warmup: int = 1) -> pd.DataFrame:
    """Return the table of data size and device: measured rows, then the lectures' own, by ``source``.

    Columns: ``source`` ("measured", or the lecture), what was done (WORK; the lectures leave most of it open),
    ``device``, ``strategy``, ``ranks``, ``cpus_per_task``, ``runs``, and medians over runs, in seconds:
    ``first_epoch_seconds`` (with tracing and cold caches), ``epoch_seconds`` (of the runs' medians without the
    ``warmup`` epochs), ``total_seconds`` (from the start of the record to its end: start-up and evaluation included).

    ``speedup_epoch`` and ``speedup_total`` are ratios of these to the CPU row that did the same work with the fewest
    ranks and cores, named in ``compared_with``; missing where no CPU did. The lectures' GPU rows are compared with the
    lectures' CPU rows, and never with measured ones: their machine is another.
    """
    measured = _measured(data, warmup)
    rows = [*(row for _, work in measured.groupby(WORK, dropna=False) for row in _compared(work)), *_published()]
    return with_units(pd.DataFrame([{key: row.get(key) for key in _COLUMNS} for row in rows]).astype(_COLUMNS))


def _measured(data: RunData, warmup: int) -> pd.DataFrame:
    found = configured(counted_runs(data, warmup))
    every = epoch_times(data, warmup=0)
    first = every[every["epoch"] == every.groupby("path")["epoch"].transform("min")].set_index("path")["seconds"]
    median = epoch_times(data, warmup).groupby("path")["seconds"].median()
    runs = found.runs.assign(
        first_epoch_seconds=found.runs["path"].map(first).astype("float64"),
        epoch_seconds=found.runs["path"].map(median).astype("float64"),
    )
    # a run that stopped at its target did fewer epochs than were asked for
    of_rows = runs.groupby(["row", "epochs"], dropna=False)
    facts = of_rows[[*(key for key in WORK if key != "epochs"), "strategy", "ranks", "cpus_per_task"]].first()
    times = of_rows[["first_epoch_seconds", "epoch_seconds", "seconds_total"]].median()
    on = of_rows[["device", "cpu_model"]].first().itertuples(index=False)
    rows = facts.join(times.rename(columns={"seconds_total": "total_seconds"}))
    rows = rows.assign(runs=of_rows.size(), source=MEASURED)
    rows["device"] = pd.Series([_device(*names) for names in on], index=rows.index, dtype="string")
    return rows.reset_index()


def _device(device: Json, cpu_model: Json) -> str | None:
    """Return the processor of a training: the GPU's name, or "CPU" and its model."""
    if pd.isna(device):
        return None
    named = device == "CPU" and not pd.isna(cpu_model)
    return f"CPU ({cpu_model})" if named else str(device)


def _compared(work: pd.DataFrame) -> list[Row]:
    """Return the rows of the same work with their speed-ups over the smallest CPU row among them."""
    order = ["ranks", "cpus_per_task", "strategy", "device"]
    rows = work.sort_values(order, kind="stable").astype(object).to_dict("records")
    on_cpu = [row for row in rows if _on_cpu(row)]
    others = [row for row in rows if not _on_cpu(row)]
    return [_with_speedup(row, on_cpu[0] if on_cpu else None) for row in (*on_cpu, *others)]


def _on_cpu(row: Row) -> bool:
    return str(row["device"]).startswith("CPU")


def _with_speedup(row: Row, base: Row | None) -> Row:
    if base is None:
        return row
    return {
        **row,
        "speedup_epoch": _ratio(base["epoch_seconds"], row["epoch_seconds"]),
        "speedup_total": _ratio(base["total_seconds"], row["total_seconds"]),
        "compared_with": base["device"],
    }


def _ratio(of: float, over: float) -> float:
    return of / over if over and over > 0 else math.nan


def _published() -> list[Row]:
    rows = []
    for samples, cpu_epoch, cpu_total, gpu_epoch, gpu_total in _PUBLISHED:
        same: Row = {"source": LECTURE, "samples": samples, "data": "mnist"}
        cpu = {**same, "device": _CPU, "epoch_seconds": cpu_epoch, "total_seconds": cpu_total}
        gpu = {**same, "device": _GPU, "epoch_seconds": gpu_epoch, "total_seconds": gpu_total}
        rows += [_with_speedup(cpu, cpu), _with_speedup(gpu, cpu)]
    return rows
