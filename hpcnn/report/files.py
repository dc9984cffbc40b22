"""The files of ``--html`` and ``--out``: the page, the figures, the tables. Makes none of them itself."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hpcnn.util.errors import HpcnnError, UsageError
from hpcnn.util.files import write_text
from hpcnn.util.table import no_formula

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from hpcnn.analysis.load import RunData
    from hpcnn.analysis.table_runs import TableRuns
    from hpcnn.figures.networks.rows import RowPictures
    from hpcnn.figures.scaling import Plot
    from hpcnn.report.page import Section


def write_report(
    data: RunData,
    table: pd.DataFrame,
    html: Path | None,
    out: Path | None,
    *,
    tables: Mapping[str, pd.DataFrame],
    sections: Sequence[Section] = (),
    predictions: Sequence[Plot] = (),
    with_runs: bool = False,
    trust: bool = False,
    warmup: int = 1,
    by: Sequence[str] | None = None,
    command: str = "",
) -> None:
    """Write the page ``html``, and into the folder ``out`` each figure as PNG, SVG and PDF and each table as CSV.

    table: the scaling table of ``data``; tables: all tables by name, for the files; sections: the same, for people;
    predictions: figures of ``prediction_plots``; with_runs: whether to draw each row's runs, and the network that one
    of them kept; trust: import what runs name though they are not the user's own; command: the command line of this
    report. Every file is written whole.
    Raises UsageError for a path that cannot be written, and HpcnnError without matplotlib.
    """
    if html is None and out is None:
        return
    needs_figures("--html" if html is not None else "--out")
    from hpcnn.analysis.fits import fits
    from hpcnn.analysis.table_runs import runs_of_table
    from hpcnn.figures.scaling import all_plots, save
    from hpcnn.report.page import write

    fitted = fits(data, table, warmup)
    table_runs = runs_of_table(data, table, warmup)
    plots = [*all_plots(data, table, fitted, warmup, by, table_runs, tables.get("roofline")), *predictions]
    row_pictures = _row_pictures(table, table_runs, trust) if with_runs else []
    if html is not None:
        with _explained("--html", html):
            doubts = tables["quality"]["remarks"].ne("").sum() if "quality" in tables else 0
            write(html, data, table, plots, sections, fitted, warmup, command, table_runs, row_pictures, int(doubts))
    if out is not None:
        with _explained("--out", out):
            save([*plots, *(plot for row in row_pictures for plot in row.plots)], out)
            for name, frame in tables.items():
                cells = frame.map(no_formula).set_axis([no_formula(str(key)) for key in frame.columns], axis=1)
                write_text(out / f"{name}.csv", cells.to_csv(index=False, lineterminator="\n"))


def needs_figures(option: str) -> None:
    """Raise HpcnnError, naming the option, unless matplotlib, and SciPy for the fits, are installed."""
    try:
        import matplotlib  # noqa: F401
        import scipy  # noqa: F401
    except ImportError as error:
        raise HpcnnError(f"{option} needs {error.name}: install it with pip install 'hpcnn[report]'") from error


def _row_pictures(table: pd.DataFrame, table_runs: TableRuns, trust: bool) -> list[RowPictures]:
    from hpcnn.figures.networks.rows import draw

    return draw(table, table_runs, trust=trust)


@contextmanager
def _explained(option: str, place: Path) -> Iterator[None]:
    """Turn an OSError into a UsageError that names the option and the path."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{option}: {str(place)!r} cannot be written: {error.strerror}") from error
