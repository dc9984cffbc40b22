"""The pages to attach to a proposal for computing time, with what calls for it ask for.

The request, the code, the machine, strong and weak scaling with pictures, memory, input and energy, the reason for the
hours, and how good the measurement is; as one HTML file, or as LaTeX with its pictures beside it. Computes no numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.analysis.table_runs import TableRuns, runs_of_table
from hpcnn.report.attachment_latex import Part, document
from hpcnn.report.origin import provenance_facts, work_facts
from hpcnn.report.page import page_from
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.files import write_bytes, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from hpcnn.analysis.load import RunData
    from hpcnn.figures.scaling import Plot
    from hpcnn.report.views.view import View

FORMS = (".html", ".tex")
_KINDS = {"strong": "Strong scaling", "weak": "Weak scaling"}
# Of a table's figures, those that a reviewer looks for.
_PLOTS = ("time", "speedup", "efficiency")
_UNKNOWN = "Not measured."


def write_attachment(
    file: Path,
    data: RunData,
    table: pd.DataFrame,
    views: Mapping[str, Sequence[View]],
    warmup: int = 1,
    by: Sequence[str] | None = None,
) -> None:
    """Write the pages into ``file``, whole; of LaTeX, its pictures beside it as PDF.

    table: the scaling table of ``data``. views: of the tables scaling, usage, proposal, quality and rules, by name.
    Raises UsageError for another ending of the file's name, and where it cannot be written.
    """
    if file.suffix not in FORMS:
        raise bad_value("--attach", str(file), f"a file that ends in {' or '.join(FORMS)}")
    from hpcnn.analysis.fits import fits
    from hpcnn.figures.scaling import all_plots

    runs = runs_of_table(data, table, warmup)
    plots = [
        plot
        for plot in all_plots(data, table, fits(data, table, warmup), warmup, by, runs)
        if plot.name.partition("-")[0] in _PLOTS
    ]
    found = list(_parts(data, views, plots, runs))
    try:
        if file.suffix == ".html":
            write_bytes(file, page_from("attachment.html.j2", title=_title(views), parts=found))
        else:
            write_text(file, document(file, _title(views), found))
    except OSError as error:
        raise UsageError(f"--attach: {str(file)!r} cannot be written: {error.strerror}") from error


def _title(views: Mapping[str, Sequence[View]]) -> str:
    first = views["proposal"][0].title
    return f"Request for computing time: {first.partition(': ')[2] or first}"


def _parts(
    data: RunData, views: Mapping[str, Sequence[View]], plots: Sequence[Plot], runs: TableRuns
) -> Iterator[Part]:
    facts = provenance_facts(data.runs, runs)
    yield Part("Request", _asked(views["proposal"]))
    yield Part("Code", facts={**work_facts(data.runs, runs), **facts["Software"]})
    yield Part("Machine", facts={**facts["Machine"], **facts["Batch system"], **facts["Time"]})
    for kind, own in _by_kind(views["scaling"]).items():
        drawn = [plot for plot in plots if f": {kind} scaling" in plot.group]
        yield Part(_KINDS[kind], [] if own else [_UNKNOWN], tables=own, plots=drawn)
    yield Part("Memory, input and output, energy", tables=views["usage"])
    yield Part("Justification of the hours", _REASONS, tables=views["proposal"])
    yield Part("Quality of the measurement", tables=[*views["quality"], *views["rules"]])


def _asked(views: Sequence[View]) -> list[str]:
    """Return what to ask for, of each table, which its title tells apart."""
    lines = [(view.title.partition(": ")[0], line) for view in views for line in view.lines]
    if len(lines) < 2:
        return [line for _, line in lines] or ["No size can be chosen."]
    return ["One of the following:", *(f"{study}: {line}" for study, line in lines)]


_REASONS = (
    "An hour is of nodes, cores and GPUs that a job holds, whether it uses them or not. A job is taken whole: from the "
    "start of its processes, with reading the data, the warm-up epoch, evaluation and checkpoints.",
    "The chosen size has the largest efficiency divided by the time of an epoch (the knee of Eager, Zahorjan and "
    "Lazowska, IEEE Trans. Computers 38(3), 1989): beyond it, time falls by less than efficiency does. Without strong "
    "scaling, and of several ways to place that many ranks, it is what takes the fewest node-hours.",
    "The interval is that of the sum of the trainings to come. What runs took that did not complete is added.",
)


def _by_kind(views: Sequence[View]) -> dict[str, list[View]]:
    """Return the views of strong and of weak scaling; one without a study in its title belongs to that before it."""
    found: dict[str, list[View]] = {kind: [] for kind in _KINDS}
    own: list[View] = []
    for view in views:
        if ": " in view.title:
            own = next((found[kind] for kind in _KINDS if f": {kind} scaling" in view.title), [])
        own.append(view)
    return found
