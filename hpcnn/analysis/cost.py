"""The cost of a result: node-, core- and GPU-hours, a site's charge, energy and carbon; and the most economic size.

Hours are those of training; no row has a job's other time (queueing, which is free, start-up, loading of data). Must
not import sites or schedulers: the caller gives charges and energies.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from hpcnn.analysis.accuracy import time_to_accuracy
from hpcnn.analysis.measured import counted_runs
from hpcnn.analysis.scaling import scaling_table
from hpcnn.analysis.units import with_units
from hpcnn.analysis.usage import energy_of_rows
from hpcnn.stats.medians import CONFIDENCE
from hpcnn.util.errors import bad_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpcnn.analysis.load import RunData

# What hours are counted of, and the column that says how many were held.
_HELD = {"node": "nodes", "core": "cores_held", "gpu": "gpus_held"}
_ENDS = ("", "_low", "_high")


class Charge(NamedTuple):
    """What a site charges for one hour of a core and of a GPU, in its own ``unit``."""

    core_hour: float
    gpu_hour: float
    unit: str = "units"


def cost_table(
    data: RunData,
    target: float | None = None,
    base: Mapping[str, str] | None = None,
    warmup: int = 1,
    confidence: float = CONFIDENCE,
    drop_outliers: bool = False,
    by: Sequence[str] | None = None,
    charges: Mapping[str, Charge] | None = None,
    joules: Mapping[str, float] | None = None,
    carbon_g_per_kwh: float | None = None,
    scaling: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return one row a configuration of ``scaling_table``, with the costs of an epoch and of reaching an accuracy.

    Columns: those of the configuration; ``runs``, ``epoch_seconds_median``, ``speedup``, ``efficiency`` and
    ``node_hours_per_epoch``, ``core_hours_per_epoch``, ``gpu_hours_per_epoch`` of the scaling table, ``_low`` and
    ``_high`` of each, and ``cores_held``, ``gpus_held``; ``target``, ``seconds_to_target`` and
    ``node_hours_to_target``, ``core_hours_to_target``, ``gpu_hours_to_target`` by the time of ``time_to_accuracy``,
    with ``_low`` and ``_high``; and

    - ``charge_per_epoch``, ``charge_to_target`` in ``charge_unit``: core-hours and GPU-hours by the ``charges`` of the
      site, by its name; missing where the row's runs are from several sites, or its site has none;
    - ``energy_kwh``: median over runs of a run's energy, and ``energy_source``: sacct where ``joules`` has that of the
      whole job by the run's path, else RAPL, NVML or both, as the run recorded it (missing where nobody measured);
      ``carbon_g`` = energy_kwh x ``carbon_g_per_kwh``, the grams of CO2 equivalent that the grid emits for 1 kWh;
    - ``sweet_spot``: the row of a strong-scaling series with the largest efficiency / epoch time, the knee of Eager,
      Zahorjan and Lazowska (IEEE Trans. Computers 38(3), 1989): beyond it, time falls by less than efficiency does.

    scaling: ``scaling_table`` of the same arguments, where the caller has it.

    Raises as ``scaling_table`` and ``time_to_accuracy`` do, and UsageError for a negative ``carbon_g_per_kwh``.
    """
    if carbon_g_per_kwh is not None and not (math.isfinite(carbon_g_per_kwh) and carbon_g_per_kwh >= 0):
        raise bad_value("carbon_g_per_kwh", carbon_g_per_kwh, "grams per kWh, 0 or more")
    if scaling is None:
        scaling = scaling_table(data, base, warmup, confidence, drop_outliers, by)
    keys = list(scaling.columns[: scaling.columns.get_loc("runs")])
    ratios = [f"{of}{end}" for of in ("speedup", "efficiency") for end in _ENDS]
    hours = [f"{of}_hours_per_epoch{end}" for of in _HELD for end in _ENDS]
    taken = [*keys, "runs", "epoch_seconds_median", *ratios, "cores_held", "gpus_held", *hours]
    rows = scaling[taken].reset_index(drop=True)
    counted = counted_runs(data, warmup)
    reached = time_to_accuracy(data._replace(runs=counted), target, confidence, by)
    to_target = {"": "seconds_to_target", "_low": "interval_low", "_high": "interval_high"}
    rows = rows.merge(reached[[*keys, "target", *to_target.values()]], on=keys, how="left")
    for of, held in _HELD.items():
        for end, seconds in to_target.items():
            rows[f"{of}_hours_to_target{end}"] = rows[held].astype("float64") * rows[seconds] / 3600
    rows = rows.drop(columns=["interval_low", "interval_high"])
    runs = counted.rename(columns={"world_size": "ranks"}).merge(rows[keys].assign(row=rows.index), on=keys)
    rows = rows.assign(**_charges(rows, runs, charges or {}))
    rows = rows.join(energy_of_rows(runs, joules))
    rows["carbon_g"] = rows["energy_kwh"] * (math.nan if carbon_g_per_kwh is None else carbon_g_per_kwh)
    return with_units(rows.assign(sweet_spot=sweet_spots(rows, scaling["base_case"].reset_index(drop=True))))


def _charges(rows: pd.DataFrame, runs: pd.DataFrame, charges: Mapping[str, Charge]) -> dict[str, pd.Series[Any]]:
    sites = {row: set(names) for row, names in runs.groupby("row")["site"]}
    of_row = [charges.get(str(*sites[row])) if len(sites[row]) == 1 else None for row in rows.index]
    factors = pd.DataFrame(
        [charge or (math.nan, math.nan, None) for charge in of_row], columns=["core", "gpu", "unit"], index=rows.index
    )
    core, gpu = factors["core"].astype("float64"), factors["gpu"].astype("float64")
    charged = {
        f"charge_{what}": core * rows[f"core_hours_{what}"] + gpu * rows[f"gpu_hours_{what}"]
        for what in ("per_epoch", "to_target")
    }
    return {**charged, "charge_unit": factors["unit"].astype("string")}


def sweet_spots(rows: pd.DataFrame, base_case: pd.Series[str]) -> pd.Series[bool]:
    """Return which rows are the knee of their series: those with the same base case, if they are several sizes."""
    worth = (rows["efficiency"] / rows["epoch_seconds_median"]).where(rows["kind"].eq("strong").fillna(False))
    series = [rows[key] for key in ("study", "model", "data", "program", "cpu_model", "device")]
    groups = [*series, base_case]
    best = worth.groupby(groups, dropna=False).transform("max")
    several = rows["ranks"].groupby(groups, dropna=False).transform("nunique") > 1
    return worth.eq(best) & worth.notna() & several
