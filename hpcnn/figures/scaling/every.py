"""Every picture that the data carry, table by table. Must not know how any is drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpcnn.analysis.columns import known
from hpcnn.analysis.scaling import TABLE
from hpcnn.analysis.table_runs import Behind, behind
from hpcnn.figures.scaling.epochs import learning_plot, traces_plot
from hpcnn.figures.scaling.plot import Plot
from hpcnn.figures.scaling.ranks import imbalance_plot
from hpcnn.figures.scaling.roofline import roofline_plot
from hpcnn.figures.scaling.scaling import efficiency_plot, speedup_plot, time_plot
from hpcnn.figures.scaling.shares import shares_plot, throughput_plot
from hpcnn.figures.scaling.style import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from hpcnn.analysis.fits import FittedSeries
    from hpcnn.analysis.load import RunData

# Tables with pictures of their own; further ones are tables alone.
MOST_TABLES = 12


def all_plots(
    data: RunData,
    table: pd.DataFrame,
    fitted: list[FittedSeries] | None = None,
    warmup: int = 1,
    by: Sequence[str] | None = None,
    of: Behind | None = None,
    rooflines: pd.DataFrame | None = None,
) -> list[Plot]:
    """Return the pictures of a scaling ``table`` of ``data``: what the data do not carry is left out.

    fitted: of ``report.fits.fits``. by: what separates tables (as for ``scaling_table``). of: what is ``behind`` the
    table, where that is known already. rooflines: of ``report.roofline.roofline_table``. Each picture's ``group`` says
    which table it is of; of more than MOST_TABLES tables, the first ones have pictures.
    """
    found = []
    everything = of or behind(data, table, warmup)
    keys = TABLE if by is None else list(dict.fromkeys([*by, "kind"]))
    parts = [part for _, part in table.groupby(keys, dropna=False)] if len(table) else []
    for number, part in enumerate(parts[:MOST_TABLES], 1):
        own = Behind(*(frame[frame["row"].isin(part.index)] for frame in everything))
        suffix = f"-{number}" if len(parts) > 1 else ""
        with settings():
            drawn = list(_of_table(part, data, own, fitted, rooflines))
        found += [replace(plot, name=plot.name + suffix, group=_title(part)) for plot in drawn]
    return found


def _of_table(
    table: pd.DataFrame, data: RunData, of: Behind, fitted: list[FittedSeries] | None, rooflines: pd.DataFrame | None
) -> Iterator[Plot]:
    every = (
        time_plot(table, fitted),
        speedup_plot(table, fitted),
        efficiency_plot(table),
        throughput_plot(table),
        shares_plot(table),
        None if rooflines is None else roofline_plot(rooflines[rooflines.index.isin(table.index)], table),
        imbalance_plot(table, of),
        traces_plot(table, of),
        learning_plot(table, data, of),
    )
    yield from (plot for plot in every if plot is not None)


def _title(rows: pd.DataFrame) -> str:
    """Return whose pictures these are: the study and the kind of scaling, the model, data and machine."""
    row: dict[Any, Any] = rows.iloc[0].astype(object).to_dict()
    kind = {"strong": "strong scaling", "weak": "weak scaling"}.get(row["kind"], "throughput")
    what = known(row["model"], known(row["program"]))
    data = f" on {row['data']}" if known(row["data"], "") else ""
    return f"{known(row['study'], 'Runs of no study')}: {kind} of {what}{data}; {known(row['cpu_model'], 'unknown')}"
