"""Views of the tables of what runs used: memory, input and energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.rules import Rules, tables_of, title
from hpcnn.report.views.view import View, count, number, percent, setting
from hpcnn.util.table import Column, narrowed
from hpcnn.util.text import significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hpcnn.report.views.view import Row
    from hpcnn.util.types import Json

NOT_MEASURED = "not measured"
# What a table shows without --wide.
_NARROW = (
    *("ranks", "nodes", "memory_peak_bytes", "node_memory_bytes", "gpu_memory_peak_bytes", "gpu_utilization_mean"),
    *("read_bytes", "written_bytes", "staging_seconds", "input_seconds", "energy"),
)


def usage_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the views of ``usage_table``."""
    views = []
    for measured, same, varying in tables_of(table, rules):
        rows = [{**row, "energy": energy_of(row)} for row in measured]
        columns = [
            count("ranks", "ranks"),
            count("nodes", "nodes"),
            *(setting(key) for key in varying),
            count("runs", "runs"),
            Column("memory_peak_bytes", "memory/rank", in_bytes, right=True),
            count("memory_peak_rank", "of rank"),
            Column("memory_least_bytes", "least", in_bytes, right=True),
            Column("node_memory_bytes", "memory/node", in_bytes, right=True),
            Column("gpu_memory_peak_bytes", "memory/GPU", in_bytes, right=True),
            percent("gpu_utilization_mean", "GPU busy", 0),
            percent("gpu_utilization_max", "at most", 0),
            Column("read_bytes", "read", in_bytes, right=True),
            Column("storage_read_bytes", "from storage", in_bytes, right=True),
            Column("written_bytes", "written", in_bytes, right=True),
            number("data_seconds", "data, s"),
            number("staging_seconds", "staging, s"),
            number("input_seconds", "input, s/epoch"),
            Column("energy", "kWh/run", right=True),
        ]
        columns = narrowed(columns, (*_NARROW, *varying))
        parts = [
            "memory: the most a rank held, over all runs, and of the rank that held the least; node: sum of its ranks'",
            "read, written: by all ranks of a run, files, pipes and sockets; from storage: what no cache had",
            "data: until they were read; input: of the rank that waited longest",
            *energy_rule(rows),
        ]
        if all(row["gpu_utilization_mean"] is None for row in rows):
            parts.append(f"GPUs: {NOT_MEASURED}")
        views.append(View(title(rows, "memory, input and energy"), rows, columns, same, "; ".join(parts)))
    return views


def energy_of(row: Row) -> str:
    """Return the energy of a row in kWh, or that nobody measured it."""
    return NOT_MEASURED if row["energy_kwh"] is None else significant(row["energy_kwh"])


def energy_rule(rows: Sequence[Row]) -> list[str]:
    """Return where the energy of rows comes from."""
    sources = sorted({source for row in rows for source in (row["energy_source"] or "").split(", ") if source})
    words = {
        "RAPL": "the processors of whole nodes (RAPL)",
        "NVML": "the GPUs (NVML)",
        "RAPL + NVML": "the processors of whole nodes and the GPUs (RAPL, NVML)",
        "sacct": "the nodes of the whole job (sacct)",
    }
    if not sources:
        return ["energy: not measured; no counter that runs may read, and Slurm was not asked (--energy) or has none"]
    return [f"energy: of {' or '.join(words[source] for source in sources)}"]


def in_bytes(value: Json) -> str:
    """Return a number of bytes for people: in the unit of 1024s that leaves at most four digits before the point."""
    number, unit = float(value), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{number:.0f} B" if unit == "B" else f"{number:.3g} {unit}" if number < 1000 else f"{number:.0f} {unit}"
