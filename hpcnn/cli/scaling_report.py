"""``hpcnn scaling-report``: tables of run directories, and the runs left out."""

from __future__ import annotations

import functools
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcnn.cli.choice import Choice
from hpcnn.cli.report_options import confidence_option, format_option
from hpcnn.util.errors import HpcnnError, UsageError, bad_value
from hpcnn.util.table import FOR_PEOPLE, note

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from hpcnn.report import RunData
    from hpcnn.report.views.rules import Rules
    from hpcnn.report.views.view import View

TITLES = {
    "scaling": "Scaling",
    "accuracy": "Time to accuracy",
    "devices": "CPU and GPU",
    "lectures": "Beside the lectures",
    "cost": "Cost",
    "roofline": "Roofline",
    "pop": "POP efficiencies",
    "jitter": "Jitter",
    "usage": "Memory, input and energy",
    "proposal": "What to ask for",
    "quality": "Quality of this measurement",
    "rules": "Rules of reporting",
    "left-out": "Runs left out",
}
TABLES = tuple(TITLES)
# The forms of hpcnn.report.exports, which imports pandas.
EXPORTS = ("extrap-text", "extrap-json", "thicket", "mllog", "archive")


@click.command(
    epilog="\b\nExamples:\n"
    "  hpcnn scaling-report runs/mnist-strong --base strategy=serial,ranks=1\n"
    "  hpcnn scaling-report runs/narval runs/niagara --by model --table cost --format markdown\n"
    "  hpcnn scaling-report runs/mnist-strong --table proposal --trainings 200\n"
    "  hpcnn scaling-report runs/mnist-strong --export archive runs.tar.gz --export extrap-json runs.json"
)
@click.argument("dirs", metavar="DIR...", nargs=-1, required=True, type=click.Path())
@format_option
@click.option(
    "--table",
    "which",
    type=Choice([*TABLES, "all"]),
    metavar="NAME",
    default="scaling",
    show_default=True,
    help="Which table: scaling; accuracy (time to accuracy); devices (CPU and GPU); "
    "lectures (their accuracies beside these); cost; roofline (share of the machine); "
    "pop (load balance and communication efficiency); "
    "jitter (how much steps differ); "
    "usage (memory, input, energy); "
    "proposal (hours of --trainings whole jobs); "
    "quality (whether repeats are repeats of one thing); "
    "rules (of reporting, which are met); left-out (runs); all of these.",
)
@click.option(
    "--base",
    metavar="KEY=VALUE,...",
    help="The base case of speed-ups, e.g. ntasks=1. Without it: the fewest ranks.",
)
@click.option(
    "--by",
    metavar="COLUMN,...",
    help="What separates tables, e.g. model. Without it: study, model, data set and processor.",
)
@click.option(
    "--warmup", type=click.IntRange(0), default=1, show_default=True, help="Epochs left out at the beginning."
)
@click.option("--drop-outliers", is_flag=True, help="Leave out epochs outside Tukey's fences of their run.")
@confidence_option
@click.option(
    "--target",
    type=click.FloatRange(0, 1, min_open=True),
    help="Test accuracy for the tables accuracy and cost. Without it: the runs' own, or what all of them reached.",
)
@click.option(
    "--machine",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="For the table roofline: ceilings that hpcnn bench machine measured.",
)
@click.option(
    "--trainings",
    type=click.IntRange(1),
    metavar="N",
    help="For the table proposal: how many trainings to ask for. Without it: 1, and no such section in --html.",
)
@click.option(
    "--energy", is_flag=True, help="Ask Slurm's accounting for the energy of each job (tables cost, usage, proposal)."
)
@click.option("--carbon-g-per-kwh", type=click.FloatRange(0), help="For the table cost: grams of CO2e for 1 kWh.")
@click.option(
    "--cache/--no-cache", default=True, show_default=True, help="Take unchanged runs from what was read last time."
)
@click.option(
    "--budget",
    type=click.FloatRange(0, min_open=True),
    metavar="CORE_HOURS",
    help="Also say what to measure next with so many core-hours.",
)
@click.option("--network", metavar="NAME", help="In --html and --out: predict more ranks on it (see hpcnn predict).")
@click.option("--trust", is_flag=True, help="With --pictures: import what runs name though they are not your own.")
@click.option(
    "--export",
    "exports",
    metavar="FORM FILE",
    multiple=True,
    type=(Choice(EXPORTS), click.Path(path_type=Path)),
    help=f"Also write the runs for other tools, as {', '.join(EXPORTS)}; DIR may be such an archive. Repeatable.",
)
@click.option("--pictures", is_flag=True, help="In --html and --out: draw the runs too, and the networks they kept.")
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write all tables, pictures, the diagnosis and the provenance as one page.",
)
@click.option(
    "--attach",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the pages to attach to a proposal for --trainings N: FILE.html, or FILE.tex with its pictures.",
)
@click.option(
    "--out",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write every picture (PNG, SVG, PDF) and every table (CSV) into DIR.",
)
def command(
    dirs: tuple[str, ...],
    fmt: str,
    which: str,
    base: str | None,
    by: str | None,
    warmup: int,
    drop_outliers: bool,
    confidence: float,
    target: float | None,
    machine: Path | None,
    trainings: int | None,
    energy: bool,
    carbon_g_per_kwh: float | None,
    cache: bool,
    budget: float | None,
    network: str | None,
    exports: tuple[tuple[str, Path], ...],
    pictures: bool,
    trust: bool,
    html: Path | None,
    attach: Path | None,
    folder: Path | None,
) -> None:
    """Turn run directories into scaling tables.

    Takes every run at or below each DIR. An epoch lasts as long as on its slowest rank; a run is summarised
    by the median of its epochs, the first left out as warm-up; a row is the median over runs; ratios come
    last. Runs that did not complete are listed with their reason (on standard error unless --format is table),
    and never counted.
    """
    from hpcnn.report.views.rules import Rules
    from hpcnn.report.views.write import write_data, write_views

    if attach is not None and trainings is None:
        raise UsageError("--attach: needs --trainings N, the number of trainings to ask for")
    if html is None and folder is None:
        if pictures:
            raise UsageError("--pictures: runs are drawn with --html or --out; hpcnn plot draws those of one")
        if network is not None:
            raise UsageError("--network: predictions are drawn with --html or --out; hpcnn predict prints them")
    if network is not None:
        from hpcnn.interconnect.links import link

        link(network)  # an unknown one is refused before runs are read
    if which == "all" and fmt in ("csv", "parquet"):
        raise UsageError(f"--format: {fmt!r} holds one table; name it with --table, or use json")
    wanted = _pairs(base)
    rules = Rules(warmup, confidence, drop_outliers, _names(by))

    from hpcnn import report
    from hpcnn.analysis.roofline import read_machine
    from hpcnn.report import left_out, load
    from hpcnn.report.views.prices import charges, joules
    from hpcnn.report.views.remarks import left_out_lines, problem_lines, repeat_lines, version_lines

    ceilings = read_machine(machine) if machine else None
    data = load(*dirs, cache=cache)
    out = left_out(data, warmup)
    remarks = [*left_out_lines(out), *problem_lines(data, out), *version_lines(data, out)]
    if len(out) == len(data.runs) and which != "left-out":
        raise HpcnnError("\n".join(["no run can be counted.", *remarks]))
    accounted = functools.cache(lambda: joules(data) if energy else None)
    make: dict[str, Callable[[], pd.DataFrame]] = {
        "scaling": lambda: report.scaling_table(data, wanted, warmup, confidence, drop_outliers, rules.by),
        "accuracy": lambda: report.time_to_accuracy(data, target, confidence, rules.by),
        "devices": lambda: report.cpu_vs_gpu(data, warmup),
        "lectures": lambda: report.lectures_table(data, warmup),
        "cost": lambda: report.cost_table(
            data,
            target,
            wanted,
            warmup,
            confidence,
            drop_outliers,
            rules.by,
            charges=charges(data),
            joules=accounted(),
            carbon_g_per_kwh=carbon_g_per_kwh,
            scaling=make["scaling"](),
        ),
        "roofline": lambda: report.roofline_table(make["scaling"](), data, ceilings, warmup, rules.by),
        "pop": lambda: report.pop_table(data, make["scaling"](), warmup),
        "jitter": lambda: report.jitter_table(data, make["scaling"](), warmup),
        "usage": lambda: report.usage_table(data, make["scaling"](), warmup, accounted()),
        "proposal": lambda: report.proposal_table(
            data, make["scaling"](), trainings or 1, warmup, confidence, accounted()
        ),
        "quality": lambda: report.quality_table(data, make["scaling"](), warmup),
        "rules": lambda: report.rules_table(data, make["scaling"](), warmup, confidence, drop_outliers),
        "left-out": lambda: out,
    }
    make = {name: functools.cache(table) for name, table in make.items()}  # most need that of scaling
    tables = {name: make[name]() for name in (TABLES if which == "all" else (which,))}
    if fmt in FOR_PEOPLE:
        _show(tables, rules, fmt)
    else:
        write_data(tables, fmt)
    if "left-out" in tables:
        remarks = [*problem_lines(data, out), *version_lines(data, out)]
    if "scaling" in tables:
        remarks += repeat_lines(tables["scaling"], make["quality"])
    for line in remarks:
        note(line, err=fmt != "table")
    advice = _advice(data, tables.get("scaling"), make["scaling"], budget)
    if advice and fmt in FOR_PEOPLE:
        write_views(advice, fmt)
    if exports:
        from hpcnn.report.exports import export

        scaling = tables["scaling"] if "scaling" in tables else make["scaling"]()
        for form, file in exports:
            export(form, file, data, scaling, warmup)
    if attach is not None:
        _attach(attach, data, make, tables, rules)
    if html is not None or folder is not None:
        asked = [name for name in TABLES if name != "proposal" or trainings is not None]
        every = {name: tables[name] if name in tables else make[name]() for name in asked}
        _write(every, data, rules, advice, network, pictures, html, folder, trust)


def _attach(
    file: Path,
    data: RunData,
    make: dict[str, Callable[[], pd.DataFrame]],
    tables: dict[str, pd.DataFrame],
    rules: Rules,
) -> None:
    """Write the pages to attach to a proposal."""
    from hpcnn.report.files import needs_figures

    needs_figures("--attach")
    from hpcnn.report.attachment import write_attachment

    names = ("scaling", "usage", "proposal", "quality", "rules")
    every = {name: tables[name] if name in tables else make[name]() for name in names}
    views = {name: _views()[name](table, rules) for name, table in every.items()}
    write_attachment(file, data, every["scaling"], views, rules.warmup, rules.by)


def _advice(
    data: RunData, table: pd.DataFrame | None, make: Callable[[], pd.DataFrame], budget: float | None
) -> list[View]:
    if budget is None:
        return []
    from hpcnn.report.views.forecast import advice_view

    return [advice_view(data, make() if table is None else table, budget)]


def _write(
    tables: dict[str, pd.DataFrame],
    data: RunData,
    rules: Rules,
    advice: list[View],
    network: str | None,
    pictures: bool,
    html: Path | None,
    folder: Path | None,
    trust: bool,
) -> None:
    """Write the page and the files, with all tables."""
    from hpcnn.report.files import write_report
    from hpcnn.report.page import Section
    from hpcnn.report.views.forecast import prediction_plots

    sections = [
        Section(TITLES[name], _views()[name](table, rules))
        for name, table in tables.items()
        if len(table) and _says_something(name, table)
    ]
    sections += [Section("What to measure next", advice)] if advice else []
    write_report(
        data,
        tables["scaling"],
        html,
        folder,
        tables=tables,
        sections=sections,
        predictions=prediction_plots(data, tables["scaling"], network) if network else (),
        with_runs=pictures,
        trust=trust,
        warmup=rules.warmup,
        by=rules.by,
        command=shlex.join(["hpcnn", *sys.argv[1:]]),
    )


def _says_something(name: str, table: pd.DataFrame) -> bool:
    """Return whether a table belongs on the page: no lectures' GPUs beside CPUs alone, no roofline without a roof."""
    if name == "devices":
        measured = table.loc[table["source"] == "measured", "device"].fillna("CPU")
        return not measured.str.startswith("CPU").all()
    return name != "roofline" or bool(table["roof_gflops_per_second"].notna().any())


def _show(tables: dict[str, pd.DataFrame], rules: Rules, fmt: str) -> None:
    from hpcnn.report.views.write import write_views

    for name, table in tables.items():
        write_views(_views()[name](table, rules), fmt)


def _views() -> dict[str, Callable[[pd.DataFrame, Rules], list[View]]]:
    """Return the functions that make the views of each table, by the table's name."""
    from hpcnn.report.views.accuracy import accuracy_views
    from hpcnn.report.views.cost import cost_views
    from hpcnn.report.views.devices import devices_views
    from hpcnn.report.views.jitter import jitter_views
    from hpcnn.report.views.lectures import lectures_views
    from hpcnn.report.views.left_out import left_out_views
    from hpcnn.report.views.pop import pop_views
    from hpcnn.report.views.proposal import proposal_views
    from hpcnn.report.views.quality import quality_views
    from hpcnn.report.views.reporting import reporting_views
    from hpcnn.report.views.roofline import roofline_views
    from hpcnn.report.views.scaling import scaling_views
    from hpcnn.report.views.usage import usage_views

    return {
        "scaling": scaling_views,
        "accuracy": accuracy_views,
        "devices": devices_views,
        "lectures": lectures_views,
        "cost": cost_views,
        "roofline": roofline_views,
        "pop": pop_views,
        "jitter": jitter_views,
        "usage": usage_views,
        "proposal": proposal_views,
        "quality": quality_views,
        "rules": reporting_views,
        "left-out": left_out_views,
    }


def _pairs(text: str | None) -> dict[str, str] | None:
    """Parse the keys and values of ``--base``."""
    if text is None:
        return None
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(key.strip() and equals and value.strip() for key, equals, value in pairs):
        raise bad_value("--base", text, "KEY=VALUE,..., as in strategy=serial,ranks=1")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _names(text: str | None) -> tuple[str, ...] | None:
    """Parse the columns of ``--by``."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise bad_value("--by", text, "COLUMN,..., as in model,cpu_model")
    return names
