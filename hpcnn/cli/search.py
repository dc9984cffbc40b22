"""``hpcnn search``: hyper-parameter searches. ``run`` trains the missing trials on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcnn.cli import search_submit, search_table
from hpcnn.cli.grouped import GroupedCommand, WholeSentences
from hpcnn.cli.output import format_option, say
from hpcnn.cli.search_options import folder_of, read_search, search_options
from hpcnn.cli.site_option import site_option
from hpcnn.util.table import Column, emit

if TYPE_CHECKING:
    from optuna.study import Study

    from hpcnn.search.spec import Search


@click.group(cls=WholeSentences, epilog="\b\nExample:\n  hpcnn search run psc_hparams --jobs 2")
def command() -> None:
    """Search hyper-parameters: trials of a grid, at random, or chosen from the results of earlier trials."""


command.add_command(search_submit.command)
command.add_command(search_table.status)
command.add_command(search_table.table)
command.add_command(search_table.importances)
command.add_command(search_table.plot)


@command.command(
    "run",
    cls=GroupedCommand,
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn search run psc_hparams --set data=fashion_mnist\n"
        "  hpcnn search run my_search.toml --set trials=50 --dry-run"
    ),
)
@click.argument("file")
@search_options
@site_option("Site profile.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="Trials at a time.")
@click.option("--dry-run", is_flag=True, help="List the trials that are known beforehand, and do nothing else.")
@format_option
def run_command(
    file: str,
    folder: str | None,
    changes: tuple[str, ...],
    site: str,
    jobs: int,
    dry_run: bool,
    fmt: str,
    **options: object,
) -> None:
    """Search FILE on this machine: a path, or the name of a packaged search (psc_hparams).

    Trials that have ended are kept, and one that was cut off goes on where it was: the same command again does what is
    missing. Prints the table in the end. Exits with status 1 if a trial failed or was stopped by somebody else.
    """
    from hpcnn.search.run import check, cores_per_trial
    from hpcnn.search.storage import begin

    search = read_search(file, changes, options)
    place = folder_of(search, folder)
    cpus = cores_per_trial(search, site, jobs)
    if dry_run:
        _list(search, place, fmt)
        return
    check(search, site)
    study = begin(search, place)
    succeeded = _run(search, study, place, site, jobs, cpus)
    search_table.show(search, study, place, fmt)
    sys.exit(0 if succeeded else 1)


def _run(search: Search, study: Study, place: Path, site: str, jobs: int, cpus: int | None) -> bool:
    """Train the missing trials, with progress; return whether all succeeded."""
    from hpcnn.cli.progress import Progress
    from hpcnn.search.run import FinishedTrial, run_workers
    from hpcnn.search.worker import TrialOutcome, work

    done = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
    finished = f", {done} already finished" if done else ""
    say(f"{search.name}: {search.trials} trials{finished}, in {place}", err=True)
    failed: list[int] = []
    with Progress(max(search.trials - done, 0)) as progress:

        def ended(trial: TrialOutcome | FinishedTrial) -> None:
            value = "" if trial.value is None else f"  {search.options.metric} {trial.value:.4f}"
            state = trial.status if isinstance(trial, TrialOutcome) else trial.state
            words = f"  {trial.parameters}" if isinstance(trial, TrialOutcome) else ""
            why = f" ({trial.reason})" if isinstance(trial, TrialOutcome) and trial.reason else ""
            failed.extend([trial.number] if state == "failed" else [])
            progress.ended(f"trial {trial.number}{words}", f"{state}{value}{why}")

        def warn(line: str) -> None:
            say(line, err=True)

        try:
            if jobs == 1:
                why = work(search, study, place, site, waits=True, started=progress.started, ended=ended, warn=warn)
                stopped = [why] if why else []
            else:
                stopped = run_workers(study, place, site, jobs, cpus, ended)
        except KeyboardInterrupt:
            click.echo("interrupted; the same command goes on with what is missing", err=True)
            sys.exit(130)
    for why in stopped:
        say(why, err=True)
    return not stopped and not failed


def _list(search: Search, place: Path, fmt: str) -> None:
    """List the trials that are known beforehand."""
    from hpcnn.search.job import train_of, value_text
    from hpcnn.search.sampling import known_points
    from hpcnn.search.table import column
    from hpcnn.util.extras import optional_module

    if search.options.method != "grid":
        optional_module("optuna", "hpcnn search", "search")
    points = known_points(search)
    for point in points:
        train_of(search, point)
    rows = [
        {"trial": number, **{column(key): value for key, value in point.items()}} for number, point in enumerate(points)
    ]
    columns = [Column("trial", "trial", right=True)]
    columns += [Column(column(key), column(key), show=value_text) for key in search.space]
    emit(rows, fmt, columns, title=f"{search.name} ({search.options.method}) in {place}")
    if fmt == "table" and len(points) < search.trials:
        click.echo(f"the search chooses {search.trials - len(points)} more trials from the results of these")


@command.command("work", hidden=True, epilog="\b\nExample:\n  hpcnn search work searches/psc_hparams --site local")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--site", required=True, help="Site profile of the trials.")
@click.option("--cpus-per-task", type=int, default=None, help="Processor cores of each task of a trial.")
@click.option("--wait", "waits", is_flag=True, help="Wait for trials that other workers hold.")
def work_command(folder: Path, site: str, cpus_per_task: int | None, waits: bool) -> None:
    """Be a worker of the search in FOLDER: train one trial after another (called by hpcnn itself)."""
    from hpcnn.search.storage import load, trials_of
    from hpcnn.search.worker import TrialOutcome, work

    search = load(folder)

    def ended(trial: TrialOutcome) -> None:
        value = "" if trial.value is None else f"  {search.options.metric} {trial.value:.4f}"
        click.echo(f"trial {trial.number}  {trial.parameters}  {trial.status}{value}")

    def warn(line: str) -> None:
        click.echo(line, err=True)

    study = trials_of(search, folder)
    try:
        why = work(search, study, folder, site, cpus_per_task=cpus_per_task, waits=waits, ended=ended, warn=warn)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)
    if why:
        click.echo(why)
