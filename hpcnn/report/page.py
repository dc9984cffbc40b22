"""The page of a report: tables, figures, diagnosis and provenance put into the template, and written whole.

The file needs no other file, and its Content-Security-Policy enforces that: a browser sends no request for it, and runs
no script and no style but the two whose hashes it names. The template escapes every text; only the SVG of ``svg.py`` is
inserted as markup. Computes no numbers.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hpcnn.analysis.diagnose import findings, verdict
from hpcnn.analysis.measured import left_out
from hpcnn.analysis.table_runs import TableRuns, runs_of_table
from hpcnn.figures.style import COLOURS, rendered
from hpcnn.report.origin import provenance_facts, row_commands, study_commands
from hpcnn.report.summary import sentences
from hpcnn.report.svg import inline_svg
from hpcnn.rundir.layout import utc_now
from hpcnn.util.files import write_bytes
from hpcnn.util.share import share_dir
from hpcnn.util.text import significant
from hpcnn.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import jinja2
    import pandas as pd
    from markupsafe import Markup

    from hpcnn.analysis.fits import FittedSeries
    from hpcnn.analysis.load import RunData
    from hpcnn.figures.networks.rows import RowPictures
    from hpcnn.figures.scaling import Plot
    from hpcnn.util.types import Json

# Rows of a table on the page; the files of --out have all.
MOST_ROWS = 1000

_DOTS_PER_INCH = 100
# A table with more columns is set smaller, and its intervals and headings may be broken.
_MOST_COLUMNS = 12


class _Column(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def heading(self) -> str: ...
    @property
    def right(self) -> bool: ...


class Table(Protocol):
    """A table for people (``hpcnn.report.views``): its columns, its rows as values and as texts, and its captions."""

    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def same(self) -> str: ...  # noqa: D102
    @property
    def caption(self) -> str: ...  # noqa: D102
    @property
    def rows(self) -> Sequence[dict[str, Json]]: ...  # noqa: D102
    @property
    def lines(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def shown(self) -> Sequence[_Column]: ...  # noqa: D102
    def cells(self) -> Sequence[Sequence[str]]: ...  # noqa: D102


class Section(NamedTuple):
    """Tables below one heading."""

    title: str
    tables: Sequence[Table]


class _Cell(NamedTuple):
    text: str
    key: str
    right: bool


def write(
    file: Path,
    data: RunData,
    table: pd.DataFrame,
    plots: Sequence[Plot],
    sections: Sequence[Section] = (),
    fitted: Sequence[FittedSeries] = (),
    warmup: int = 1,
    command: str = "",
    table_runs: TableRuns | None = None,
    rows: Sequence[RowPictures] = (),
    doubts: int = 0,
) -> None:
    """Write the report of a scaling ``table`` of ``data`` into ``file``, whole.

    plots: of ``report.plots``. sections: the tables. fitted: of ``report.fits``. command: the command line of this
    report. table_runs: of ``runs_of_table``, where the caller has them. rows: of ``hpcnn.figures.networks.rows``.
    doubts: rows of which the table of quality doubts the repeats.
    """
    table_runs, out = table_runs or runs_of_table(data, table, warmup), left_out(data, warmup)
    found = findings(data, table, warmup, table_runs)
    groups: dict[str, list[Plot]] = {}
    for plot in plots:
        groups.setdefault(plot.group, []).append(plot)
    page = page_from(
        "report.html.j2",
        title=_title(table),
        summary=sentences(table, len(out), found, doubts),
        sections=sections,
        groups=list(groups.values()),
        of_runs=rows,
        png=_png,
        findings=found,
        verdict=verdict(found, table),
        number=_number,
        fitted=fitted,
        facts=provenance_facts(data.runs, table_runs),
        studies=study_commands(table),
        commands=list(row_commands(table, table_runs)),
        command=command,
        warmup=warmup,
    )
    write_bytes(file, page)


def page_from(template: str, **values: object) -> bytes:
    """Return the page of a template of ``templates/report`` with these values, and what all such pages have."""
    style, script = _shared_text("report.css") + _palette(), _shared_text("report.js")
    page = _template(template).render(
        policy=_policy(style, script),
        style=style,
        script=script,
        version=__version__,
        made_at=utc_now(),
        cells=_cells,
        most_rows=MOST_ROWS,
        most_columns=_MOST_COLUMNS,
        breakable=_breakable,
        svg=inline_svg,
        **values,
    )
    return page.encode("utf-8", "replace")


def _title(table: pd.DataFrame) -> str:
    names = sorted({str(name) for name in table["study"].dropna()}) if len(table) else []
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"Scaling report: {shown}" if names else "Scaling report"


def _cells(table: Table) -> Iterator[list[_Cell]]:
    """Yield each row's texts with their sort keys: the number itself, else the text."""
    for row, texts in zip(table.rows[:MOST_ROWS], table.cells(), strict=False):
        cells = []
        for column, text in zip(table.shown, texts, strict=True):
            value = row.get(column.key)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            cells.append(_Cell(text, "" if value is None else repr(value) if is_number else text, column.right))
        yield cells


def _breakable(text: str) -> Markup:
    """Return a text as HTML that may be broken within an interval and after a slash."""
    from markupsafe import Markup, escape

    return Markup(str(escape(text)).replace("..", "..<wbr>").replace("/", "/<wbr>"))


def _number(value: float) -> str:
    """Return one of a finding's numbers: whole ones whole, others with three digits."""
    return f"{value:,.0f}" if float(value).is_integer() else significant(value)


def _png(plot: Plot) -> str:
    """Return a figure with images, which would be long as SVG, as a URI that holds its PNG."""
    content = rendered(plot.figure, "png", dpi=_DOTS_PER_INCH)
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy of a page with this style sheet and this script."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src {digest(style)}",
            f"script-src {digest(script)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _palette() -> str:
    """Return the style sheet of the palette: variables for a light and for a dark page, and classes that use them."""

    def variables(*, dark: bool) -> str:
        return "".join(f"--{name}:{c.dark if dark else c.light};" for name, c in COLOURS.items())

    classes = "".join(f".f-{name}{{fill:var(--{name})}}.s-{name}{{stroke:var(--{name})}}" for name in COLOURS)
    in_the_dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{variables(dark=True)}}}}}"
    return f":root{{{variables(dark=False)}}}{in_the_dark}{classes}\n"


def _shared_text(name: str) -> str:
    return (share_dir("templates") / "report" / name).read_text(encoding="utf-8")


def _template(name: str) -> jinja2.Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(share_dir("templates") / "report"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
