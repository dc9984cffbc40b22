"""All figures of the tables of a report, table by table. Chooses and names them; draws none itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hpcnn.analysis.columns import text_or
from hpcnn.analysis.scaling import TABLE
from hpcnn.analysis.table_runs import TableRuns, runs_of_table
from hpcnn.figures.scaling.epochs import learning_plot, traces_plot
from hpcnn.figures.scaling.plot import Plot
from hpcnn.figures.scaling.ranks import imbalance_plot
from hpcnn.figures.scaling.roofline import roofline_plot
from hpcnn.figures.scaling.scaling import efficiency_plot, speedup_plot, time_plot
from hpcnn.figures.scaling.shares import shares_plot, throughput_plot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from hpcnn.analysis.fits import FittedSeries
    from hpcnn.analysis.load import RunData

# Tables with figures of their own; a report prints the further ones as tables alone.
MOST_TABLES = 12


def all_plots(
    data: RunData,
    table: pd.DataFrame,
    fitted: list[FittedSeries] | None = None,
    warmup: int = 1,
    by: Sequence[str] | None = None,
    table_runs: TableRuns | None = None,
    rooflines: pd.DataFrame | None = None,
) -> list[Plot]:
    """Return all figures of a scaling ``table`` of ``data`` for which the data suffice.

    fitted: of ``report.fits.fits``. by: the columns that separate tables (as for ``scaling_table``). table_runs: of
    ``runs_of_table``, where the caller has them. rooflines: of ``report.roofline_table``. The ``group`` of each figure
    names its table; of more than MOST_TABLES tables, the first ones have figures.
    """
    found = []
    runs = table_runs or runs_of_table(data, table, warmup)
    keys = TABLE if by is None else list(dict.fromkeys([*by, "kind"]))
    parts = [part for _, part in table.groupby(keys, dropna=False)] if len(table) else []
    for number, part in enumerate(parts[:MOST_TABLES], 1):
        suffix = f"-{number}" if len(parts) > 1 else ""
        plots = _of_one_table(part, data, runs.of_rows(part.index), fitted, rooflines)
        found += [replace(plot, name=plot.name + suffix, group=_title(part)) for plot in plots]
    return found


def _of_one_table(
    table: pd.DataFrame,
    data: RunData,
    table_runs: TableRuns,
    fitted: list[FittedSeries] | None,
    rooflines: pd.DataFrame | None,
) -> Iterator[Plot]:
    every = (
        time_plot(table, fitted),
        speedup_plot(table, fitted),
        efficiency_plot(table),
        throughput_plot(table),
        shares_plot(table),
        None if rooflines is None else roofline_plot(rooflines[rooflines.index.isin(table.index)], table),
        imbalance_plot(table, table_runs),
        traces_plot(table, table_runs),
        learning_plot(table, data, table_runs),
    )
    yield from (plot for plot in every if plot is not None)


def _title(rows: pd.DataFrame) -> str:
    """Return the name of a table: its study, kind of scaling, model, data, and GPU, else processor."""
    row = rows.iloc[0]
    kind = {"strong": "strong scaling", "weak": "weak scaling"}.get(row["kind"], "throughput")
    what = text_or(row["model"], text_or(row["program"]))
    data = f" on {row['data']}" if text_or(row["data"], "") else ""
    device = text_or(row["device"], "CPU") if "device" in rows else "CPU"
    machine = text_or(row["cpu_model"], "unknown") if device == "CPU" else device
    return f"{text_or(row['study'], 'Runs of no study')}: {kind} of {what}{data}; {machine}"
