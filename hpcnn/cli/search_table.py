"""``hpcnn search status``, ``table``, ``importances`` and ``plot``: show the results of a search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcnn.cli.choice import Choice
from hpcnn.cli.output import format_option, say, wide_option
from hpcnn.cli.search_options import open_search
from hpcnn.cli.study_options import runs_option
from hpcnn.util.table import Column, emit
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from optuna.study import Study

    from hpcnn.search.spec import Search

_FORMATS = ("table", "json", "csv", "markdown")

target = click.argument("target", metavar="SEARCH")


@click.command("status", epilog="\b\nExample:\n  hpcnn search status runs/psc_hparams")
@target
@runs_option
@format_option
def status(target: str, folder: str | None, fmt: str) -> None:
    """Show how far SEARCH is: its folder, or its file."""
    from hpcnn.scheduler.api import NoAnswer
    from hpcnn.search.claim import under_way
    from hpcnn.search.storage import trials_of
    from hpcnn.search.submit import queued
    from hpcnn.search.table import STATES, best, states

    search, place = open_search(target, folder)
    study = trials_of(search, place)
    found = [state for _, state in states(study, under_way(study, place))]
    top = best(search, study)
    row: dict[str, Json] = {"trials": search.trials, **{state: found.count(state) for state in STATES}}
    row["waiting"] = search.trials - len(found) + found.count("waiting")
    try:
        row["workers_in_queue"] = queued(place)
    except NoAnswer as error:
        click.echo(str(error), err=True)
        row["workers_in_queue"] = None
    row[f"best_{search.options.metric.removeprefix('best_')}"] = top.value if top else None
    columns = [Column("trials", "trials", right=True)]
    shown = [state for state in STATES if state != "unknown" or row[state]]
    columns += [Column(state, state, show=lambda count: str(count or "-"), right=True) for state in shown]
    columns += [Column("workers_in_queue", "workers", show=lambda count: str(count or "-"), right=True)]
    columns += [Column(list(row)[-1], "best", "{:.4f}".format, right=True)]
    emit([row], fmt, columns, title=f"{search.name} ({search.options.method}) in {place}")


@click.command("table", epilog="\b\nExample:\n  hpcnn search table runs/psc_hparams --format markdown")
@target
@runs_option
@click.option("--format", "fmt", type=Choice(_FORMATS), default="table", show_default=True, help="How to print.")
@wide_option
def table(target: str, folder: str | None, fmt: str) -> None:
    """Show the trials of SEARCH, the best first: its folder, or its file."""
    from hpcnn.search.storage import trials_of

    search, place = open_search(target, folder)
    show(search, trials_of(search, place), place, fmt)


@click.command("importances", epilog="\b\nExample:\n  hpcnn search importances runs/psc_hparams")
@target
@runs_option
@format_option
def importances(target: str, folder: str | None, fmt: str) -> None:
    """Show which parameters of SEARCH matter: each one's share of the variance among completed trials (fANOVA)."""
    from hpcnn.search.storage import trials_of
    from hpcnn.search.table import column
    from hpcnn.search.table import importances as shares

    search, place = open_search(target, folder)
    found = shares(trials_of(search, place), search.options.seed)
    rows = [{"parameter": column(key), "importance": share} for key, share in found.items()]
    columns = [Column("parameter", "parameter"), Column("importance", "importance", "{:.3f}".format, right=True)]
    if rows or fmt != "table":
        emit(rows, fmt, columns)
    else:
        click.echo(f"{search.name}: importances need four completed trials with different results")


@click.command("plot", epilog="\b\nExample:\n  hpcnn search plot runs/psc_hparams --out pictures")
@target
@runs_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder.  [default: SEARCH/plots]")
@click.option(
    "--suffix", type=Choice(("png", "svg", "pdf")), default="png", show_default=True, help="Format of the files."
)
def plot(target: str, folder: str | None, out: Path | None, suffix: str) -> None:
    """Draw SEARCH: the trials in turn, each parameter against the result, and all of them as lines."""
    from hpcnn.cli.plot import check_matplotlib
    from hpcnn.search.storage import trials_of

    check_matplotlib()
    search, place = open_search(target, folder)
    study = trials_of(search, place)

    from hpcnn.figures.search import draw_all
    from hpcnn.figures.style import save
    from hpcnn.rundir.layout import pictures_folder

    for name, figure in draw_all(search, study).items():
        file = (out or pictures_folder(place)) / f"{name}.{suffix}"
        save(figure, file)
        say(str(file))


def show(search: Search, study: Study, place: Path, fmt: str) -> None:
    """Print the table; for people also the importances, and the command that trains the best trial again."""
    from hpcnn.report.views.view import View
    from hpcnn.report.views.write import write_views
    from hpcnn.search.job import train_command, value_text
    from hpcnn.search.table import best, column, rows

    found = rows(search, study, place)
    if fmt in ("json", "csv"):
        emit(found, fmt, [Column("trial", "trial")])
        return
    columns = [Column("rank", "rank", right=True), Column("trial", "trial", right=True)]
    columns += [Column(column(key), column(key), show=value_text) for key in search.space]
    columns += [
        Column("accuracy", "accuracy", "{:.4f}".format, right=True),
        *([Column("best_accuracy", "best", "{:.4f}".format, right=True)] if _by(search, "best_accuracy") else []),
        *([Column("loss", "loss", "{:.4f}".format, right=True)] if _by(search, "loss") else []),
        Column("reference", "reported", "{:.4f}".format, right=True),
        Column("epochs", "epochs", right=True, wide=True),
        Column("seconds", "seconds", "{:.1f}".format, right=True, wide=True),
        Column("state", "state"),
    ]
    title = f"{search.name} ({search.options.method}): {len(found)} of {search.trials} trials, by {_by_what(search)}"
    view = View(title, found, columns)
    top = best(search, study)
    if top is not None:
        view.lines.extend(_importances(search, study))
        view.lines.append(f"train the best again: {train_command(search, top.params, _site(place, top.number))}")
    write_views([view], fmt)


def _by(search: Search, metric: str) -> bool:
    return search.options.metric == metric


def _by_what(search: Search) -> str:
    direction = "largest" if search.options.maximizes else "smallest"
    return f"{search.options.metric.replace('_', ' ')} on the test set, {direction} first"


def _importances(search: Search, study: Study) -> list[str]:
    from hpcnn.search.table import column, importances

    found = importances(study, search.options.seed)
    words = ", ".join(f"{column(key)} {share:.2f}" for key, share in found.items())
    return [f"importances (fANOVA): {words}"] if found else []


def _site(place: Path, number: int) -> str:
    """Return the site of a trial's run."""
    from hpcnn.search.storage import run_of
    from hpcnn.util.files import read_json

    return str((read_json(run_of(place, number).spec) or {}).get("site") or "local")
