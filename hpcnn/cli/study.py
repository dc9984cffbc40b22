"""``hpcnn study``: scaling studies. ``run`` runs the missing runs on this machine, with progress."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcnn.cli import study_status, study_submit
from hpcnn.cli.grouped import GroupedCommand
from hpcnn.cli.next import next_lines
from hpcnn.cli.output import format_option
from hpcnn.cli.site_option import site_option
from hpcnn.cli.study_options import folder_of, read_study, study_options
from hpcnn.util.table import Column, emit, note

if TYPE_CHECKING:
    from hpcnn.jobs.submit import Prepared
    from hpcnn.specs.study import StudySpec
    from hpcnn.study.expand import PlannedRun
    from hpcnn.study.run import Outcome, Todo


@click.group(epilog="\b\nExample:\n  hpcnn study run strong_scaling --runs runs --set repeats=5")
def command() -> None:
    """Run scaling studies: points along axes, each repeated."""


command.add_command(study_submit.command)
command.add_command(study_status.command)


@command.command(
    "run",
    cls=GroupedCommand,
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn study run strong_scaling --set data=mnist --set ntasks=[1,2,4]\n"
        "  hpcnn study run my_study.toml --dry-run"
    ),
)
@click.argument("file")
@study_options
@site_option("Site profile.")
@click.option("--dry-run", is_flag=True, help="List the runs, and whether each is missing, and do nothing else.")
@format_option
def run_command(
    file: str, folder: str | None, changes: tuple[str, ...], site: str, dry_run: bool, fmt: str, **options: object
) -> None:
    """Run the study FILE on this machine: a path, or the name of a packaged study (smoke, strong_scaling, ...).

    Finished runs are skipped, so an interrupted study goes on where it stopped. Exits with status 1 if a run failed.
    """
    from hpcnn.sites.load import load_site
    from hpcnn.study.expand import expand
    from hpcnn.study.run import check_all_staged, for_this_machine, missing
    from hpcnn.util.lock import lock
    from hpcnn.util.text import shown_path

    load_site(site)  # raises for an unknown site first, in a dry run too
    study = read_study(file, changes, options)
    place = folder_of(study, folder)
    runs = expand(study, site)
    todo = missing(runs, place)
    if dry_run:
        _list(study, runs, todo.runs, place, fmt)
        return
    here, elsewhere = for_this_machine(todo.runs)
    check_all_staged(here)
    if elsewhere:
        click.echo(
            f"left out: {len(elsewhere)} of {len(runs)} runs ask for GPUs, and this machine has none "
            "(hpcnn study submit runs them on a cluster)",
            err=True,
        )
    if here:
        with lock(place):
            failed = _run_all(study, runs, place)
    else:
        _print_summary(study, runs, todo, "")
        failed = []
    for outcome in failed:
        click.echo(f"failed: {outcome.path}: {outcome.reason}", err=True)
    there = shlex.quote(shown_path(place))
    next_lines(f"hpcnn study status {there} --each" if failed else f"hpcnn scaling-report {there}")
    sys.exit(1 if failed else 0)


def _run_all(study: StudySpec, runs: list[PlannedRun], place: Path) -> list[Outcome]:
    """Run the missing runs; return the outcomes of those that failed."""
    from hpcnn.cli.progress import Progress
    from hpcnn.study.run import for_this_machine, missing, run_all

    todo = missing(runs, place)  # again: another command may have run some before the lock was taken
    here, _ = for_this_machine(todo.runs)
    _print_summary(study, runs, todo, f", in {place}")
    with Progress(len(here)) as progress:

        def ended(outcome: Outcome) -> None:
            word = "ok" if outcome.code == 0 else f"FAILED ({outcome.reason})"
            progress.ended(outcome.path.name, f"{outcome.seconds:.1f} s  {word}")

        try:
            outcomes = run_all(here, lambda one: progress.started(one.run.path.name, one.run.path), ended)
        except KeyboardInterrupt:
            click.echo("interrupted; the same command goes on with what is missing", err=True)
            sys.exit(130)
    return [outcome for outcome in outcomes if outcome.code]


def _print_summary(study: StudySpec, runs: list[PlannedRun], todo: Todo, place: str) -> None:
    skipped = f", {todo.completed} already finished" if todo.completed else ""
    skipped += f", {todo.in_queue} in Slurm's queue" if todo.in_queue else ""
    note(f"{study.name}: {len(runs)} runs{skipped}{place}", err=True)


def _list(study: StudySpec, runs: list[PlannedRun], todo: list[Prepared], place: Path, fmt: str) -> None:
    left = {prepared.run.path.name for prepared in todo}
    rows = [
        {
            "run": run.run_id,
            "ranks": run.job.resources.ntasks,
            "state": "missing" if run.run_id in left else "finished",
        }
        for run in runs
    ]
    columns = [Column("run", "run"), Column("ranks", "ranks", right=True), Column("state", "state")]
    emit(rows, fmt, columns, title=f"{study.name} ({study.kind}) in {place}")
