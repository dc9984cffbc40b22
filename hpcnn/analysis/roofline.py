"""The roofline of each configuration: its operations a second beside the measured ceilings of the machine.

The model of Williams, Waterman and Patterson (CACM 52(4), 65, 2009): the peak of the machine, and memory bandwidth
times arithmetic intensity (operations for each byte moved), bound the speed of a program. A run counts operations and
bytes when it trains (``models/work.py``); ``hpcnn bench machine`` measures the ceilings. Must not read runs itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hpcnn.analysis.base import SIZE
from hpcnn.analysis.configuration import configured
from hpcnn.analysis.measured import counted_runs
from hpcnn.analysis.units import with_units
from hpcnn.util.errors import bad_value
from hpcnn.util.files import read_json

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from pathlib import Path

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Json

_COUNTED = ["flops_training", "bytes_per_sample", "bytes_per_step", "threads"]
_GIGA = 1e9


class Ceiling(NamedTuple):
    """The limits of some threads of a node, or of one GPU: operations a second by precision, and bytes a second."""

    device: str
    threads: int
    flops_per_second: dict[str, float]
    bytes_per_second: float


class Machine(NamedTuple):
    """The ceilings of one machine, as ``hpcnn bench machine`` measured them."""

    cpu_model: str
    ceilings: tuple[Ceiling, ...]


def read_machine(file: Path, option: str = "--machine") -> Machine:
    """Return the ceilings in a ``machine.json``. Raises UsageError naming ``option`` for any other file."""
    try:
        record = read_json(file) or {}
        ceilings = tuple(_ceiling(entry) for entry in record["ceilings"])
        return Machine(str(record["cpu_model"]), ceilings)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise bad_value(option, str(file), "the machine.json of hpcnn bench machine") from error


def _ceiling(entry: Mapping[str, Json]) -> Ceiling:
    end = "_flops_per_second"
    peaks = {key.removesuffix(end): float(value) for key, value in entry.items() if key.endswith(end)}
    return Ceiling(str(entry["device"]), int(entry["threads"]), peaks, float(entry["bytes_per_second"]))


def roofline_table(
    table: pd.DataFrame,
    data: RunData,
    machine: Machine | None = None,
    warmup: int = 1,
    by: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the rows of a scaling ``table`` of ``data`` with counted operations: their speed and its limits.

    Columns: those of the configuration, ``runs``, ``images_per_second``, and

    - ``flops_per_image``: operations of a training step for one image;
    - ``gflops_per_second``: that times images a second, in 1e9;
    - ``intensity``: operations for each byte of a replica's step, with no cache that outlives a layer;
    - ``threads``: of TensorFlow in each process, where that is known;
    - ``peak_gflops_per_second``: of the matrix product, on all nodes or GPUs of the row, in its precision;
    - ``bandwidth_gbytes_per_second``: of their memory, in 1e9 bytes;
    - ``roof_gflops_per_second``: the lower of that and memory bandwidth times intensity;
    - ``share_of_peak``: achieved over peak.

    The last four are missing where ``machine`` is None, of another processor, or not measured with the row's threads.
    """
    runs = configured(counted_runs(data, warmup), by).runs
    of_rows = runs.groupby("row")[_COUNTED]
    # runs of one row that counted different work did not do the same: the row is left out
    counted = of_rows.first().where(of_rows.nunique() == 1).reindex(table.index).astype("float64")
    keys = list(table.columns[: table.columns.get_loc("runs")])
    batch = (table["batch_size"] / table["ranks"]).astype("float64")
    flops = counted["flops_training"]
    rows = table[[*keys, "runs", "images_per_second"]].assign(
        flops_per_image=flops,
        gflops_per_second=flops * table["images_per_second"] / _GIGA,
        intensity=flops * batch / (counted["bytes_per_sample"] * batch + counted["bytes_per_step"]),
        threads=counted["threads"].fillna(table["cpus_per_task"].astype("float64")).astype("Int64"),
    )
    limits = [_limits(row, machine) for row in rows.astype(object).to_dict("records")]
    peaks, bandwidths = (np.array([limit[at] for limit in limits], "float64") for at in (0, 1))
    rows = rows.assign(
        peak_gflops_per_second=peaks / _GIGA,
        bandwidth_gbytes_per_second=bandwidths / _GIGA,
        roof_gflops_per_second=np.minimum(peaks, bandwidths * rows["intensity"]) / _GIGA,
        share_of_peak=rows["gflops_per_second"] * _GIGA / peaks,
    )
    return with_units(rows[rows["flops_per_image"].notna()])


def _limits(row: Mapping[Hashable, Json], machine: Machine | None) -> tuple[float, float]:
    """Return the peak (operations a second) and the bandwidth (bytes a second) of all devices of a row, or NaN."""
    nothing = (np.nan, np.nan)
    if machine is None or any(pd.isna(row[key]) for key in ("device", "precision", *SIZE)):
        return nothing
    for ceiling in machine.ceilings:
        if ceiling.device != row["device"] or row["precision"] not in ceiling.flops_per_second:
            continue
        if ceiling.device != "CPU":
            return ceiling.flops_per_second[row["precision"]] * row["ranks"], ceiling.bytes_per_second * row["ranks"]
        same = row["cpu_model"] == machine.cpu_model and not pd.isna(row["threads"])
        if same and row["threads"] * row["ntasks"] == ceiling.threads * row["nodes"]:
            return ceiling.flops_per_second[row["precision"]] * row["nodes"], ceiling.bytes_per_second * row["nodes"]
    return nothing
