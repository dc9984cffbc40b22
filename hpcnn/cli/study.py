"""``hpcnn study``: scaling studies. ``run`` runs the missing runs on this machine, with progress."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
from typing import TYPE_CHECKING, NamedTuple

import click

from hpcnn.cli import study_list, study_status, study_submit
from hpcnn.cli.grouped import GroupedCommand, WholeSentences
from hpcnn.cli.next import next_lines
from hpcnn.cli.output import format_option
from hpcnn.cli.site_option import site_option
from hpcnn.cli.study_options import folder_of, read_study, study_options
from hpcnn.util.table import Column, emit, note

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hpcnn.jobs.submit import Prepared
    from hpcnn.specs.study import StudySpec
    from hpcnn.study.expand import PlannedRun
    from hpcnn.study.run import Outcome, Todo


@click.group(cls=WholeSentences, epilog="\b\nExample:\n  hpcnn study run strong_scaling --runs runs --set repeats=5")
def command() -> None:
    """Run scaling studies: points along axes, each repeated."""


command.add_command(study_list.command)
command.add_command(study_submit.command)
command.add_command(study_status.command)


@command.command(
    "run",
    cls=GroupedCommand,
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn study run strong_scaling --set data=mnist --set ntasks=[1,2,4]\n"
        "  hpcnn study run my_study.toml --dry-run\n"
        "  hpcnn study run smoke --set repeats=6 --against precision=bfloat16"
    ),
)
@click.argument("file")
@study_options
@click.option(
    "--against",
    multiple=True,
    metavar="KEY=VALUE",
    help="Run each run a second time with this key changed, the two in turn: A in the study's folder, B in one beside "
    "it, ready for hpcnn compare.",
)
@click.option(
    "--shuffle", "seed", type=click.IntRange(0), metavar="SEED", help="Order the points of each repeat by chance."
)
@site_option("Site profile.")
@click.option("--dry-run", is_flag=True, help="List the runs, and whether each is missing, and do nothing else.")
@format_option
def run_command(
    file: str,
    folder: str | None,
    changes: tuple[str, ...],
    against: tuple[str, ...],
    seed: int | None,
    site: str,
    dry_run: bool,
    fmt: str,
    **options: object,
) -> None:
    """Run the study FILE on this machine: a path, or the name of a packaged study (smoke, strong_scaling, ...).

    Finished runs are skipped, so an interrupted study goes on where it stopped. Exits with status 1 if a run failed.
    """
    from hpcnn.sites.load import load_site
    from hpcnn.study.run import check_all_staged, for_this_machine
    from hpcnn.util.text import shown_path

    load_site(site)  # raises for an unknown site first, in a dry run too
    studies = [_planned(read_study(file, changes, options), folder, site, seed)]
    if against:
        studies.append(_planned(_changed(studies[0].study, file, changes, against, options), folder, site, seed))
    todo, _ = _missing(studies, seed)
    if dry_run:
        _list(studies, todo, fmt)
        return
    here, elsewhere = for_this_machine(todo)
    check_all_staged(here)
    if elsewhere:
        click.echo(
            f"left out: {len(elsewhere)} of {sum(len(one.runs) for one in studies)} runs ask for GPUs, and this "
            "machine has none (hpcnn study submit runs them on a cluster)",
            err=True,
        )
    failed = _run_all(studies, seed, here=bool(here))
    for outcome in failed:
        note(f"failed: {outcome.path}: {outcome.reason}", err=True)
    places = [shlex.quote(shown_path(one.place)) for one in studies]
    looks = [f"hpcnn study status {place} --each" for place in places]
    reads = f"{'hpcnn compare' if against else 'hpcnn scaling-report'} {' '.join(places)}"
    next_lines(*(looks if failed else [reads]))
    sys.exit(1 if failed else 0)


class _Planned(NamedTuple):
    study: StudySpec
    runs: list[PlannedRun]
    place: Path


def _planned(study: StudySpec, folder: str | None, site: str, seed: int | None) -> _Planned:
    from hpcnn.study.expand import expand, shuffled

    runs = expand(study, site)
    return _Planned(study, runs if seed is None else shuffled(runs, seed), folder_of(study, folder))


def _changed(
    study: StudySpec, file: str, changes: tuple[str, ...], against: tuple[str, ...], options: dict[str, object]
) -> StudySpec:
    """Return the study with the keys of --against changed, under a name of its own."""
    from hpcnn.study.against import name_against

    changed = read_study(file, (*changes, *against), options)
    name = name_against(study, against) if changed.name == study.name else changed.name
    return dataclasses.replace(changed, name=name)


def _missing(studies: Sequence[_Planned], seed: int | None) -> tuple[list[Prepared], list[Todo]]:
    """Return the missing runs in the order of running, and what is missing of each study."""
    from hpcnn.study.against import in_turn
    from hpcnn.study.run import missing

    each = [missing(one.runs, one.place) for one in studies]
    if len(studies) == 1:
        return each[0].runs, each
    prepared = {one.run.path: one for todo in each for one in todo.runs}
    a, b = ([one.place / run.run_id for run in one.runs] for one in studies)
    return [prepared[path] for path in in_turn(a, b, seed or 0) if path in prepared], each


def _run_all(studies: Sequence[_Planned], seed: int | None, *, here: bool) -> list[Outcome]:
    """Run the missing runs, if there are any to run here; return the outcomes of those that failed."""
    from hpcnn.cli.progress import Progress
    from hpcnn.study.run import for_this_machine, run_all
    from hpcnn.util.lock import lock

    with contextlib.ExitStack() as locks:
        for one in studies if here else ():
            locks.enter_context(lock(one.place))
        todo, each = _missing(studies, seed)  # again: another command may have run some before the lock was taken
        for one, left in zip(studies, each, strict=True):
            _print_summary(one.study, one.runs, left, f", in {one.place}" if here else "")
        if not here:
            return []
        runs, _ = for_this_machine(todo)
        with Progress(len(runs)) as progress:

            def ended(outcome: Outcome) -> None:
                word = "ok" if outcome.code == 0 else f"FAILED ({outcome.reason})"
                progress.ended(_name(outcome.path, studies), f"{outcome.seconds:.1f} s  {word}")

            try:
                outcomes = run_all(
                    runs, lambda one: progress.started(_name(one.run.path, studies), one.run.path), ended
                )
            except KeyboardInterrupt:
                click.echo("interrupted; the same command goes on with what is missing", err=True)
                sys.exit(130)
    return [outcome for outcome in outcomes if outcome.code]


def _name(path: Path, studies: Sequence[_Planned]) -> str:
    """Return the name of a run; with the letter of its study where there are two."""
    if len(studies) == 1:
        return path.name
    return f"{'A' if path.parent == studies[0].place else 'B'} {path.name}"


def _print_summary(study: StudySpec, runs: list[PlannedRun], todo: Todo, place: str) -> None:
    skipped = f", {todo.completed} already finished" if todo.completed else ""
    skipped += f", {todo.in_queue} in Slurm's queue" if todo.in_queue else ""
    note(f"{study.name}: {len(runs)} runs{skipped}{place}", err=True)


def _list(studies: Sequence[_Planned], todo: list[Prepared], fmt: str) -> None:
    left = {prepared.run.path for prepared in todo}
    columns = [Column("run", "run"), Column("ranks", "ranks", right=True), Column("state", "state")]
    every = []
    for letter, one in zip("AB", studies, strict=False):
        rows = [
            {
                **({"set": letter} if len(studies) > 1 else {}),
                "run": run.run_id,
                "ranks": run.job.resources.ntasks,
                "state": "missing" if one.place / run.run_id in left else "finished",
            }
            for run in one.runs
        ]
        every += rows
        if fmt == "table":
            emit(rows, fmt, columns, title=f"{one.study.name} ({one.study.kind}) in {one.place}")
    if fmt != "table":
        emit(every, fmt, columns)
