"""``hpcnn study run``: every point of a scaling study, or what is missing of it, with progress."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpcnn.cli.options import key_values
from hpcnn.cli.output import Column, console, emit, format_option

if TYPE_CHECKING:
    from hpcnn.spec import StudySpec
    from hpcnn.study.expand import PlannedRun
    from hpcnn.study.run import Outcome
    from hpcnn.submit import Prepared


@click.group(epilog="\b\nExample:\n  hpcnn study run strong_scaling --runs runs --set repeats=5")
def command() -> None:
    """Run scaling studies: points along axes, each repeated."""


@command.command(
    "run",
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn study run strong_scaling --set data=mnist --set ntasks=[1,2,4]\n"
        "  hpcnn study run my_study.toml --dry-run"
    ),
)
@click.argument("file")
@click.option(
    "--runs",
    "folder",
    default=None,
    type=click.Path(file_okay=False),
    help="Folder of all runs.  [default: runs]",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the study; a list makes an axis, e.g. --set model.d_rate=[0.2,0.4].",
)
@click.option("--site", default="local", show_default=True, help="Site profile.")
@click.option("--dry-run", is_flag=True, help="List the runs, and whether each is missing, and do nothing else.")
@format_option
def run_command(file: str, folder: str | None, changes: tuple[str, ...], site: str, dry_run: bool, fmt: str) -> None:
    """Run the study FILE: a path, or the name of a packaged study (smoke, strong_scaling, ...).

    Finished runs are skipped, so an interrupted study goes on where it stopped. Exits with status 1 if a run failed.
    """
    from hpcnn.sites.load import load_site
    from hpcnn.study.expand import expand
    from hpcnn.study.read import find, read
    from hpcnn.study.run import missing, run_all
    from hpcnn.submit import runs_folder

    load_site(site)  # an unknown one is said before anything else, in a dry run too
    study = read(find(file), key_values("--set", changes))
    place = (Path(folder) if folder else runs_folder()) / study.name
    runs = expand(study, site)
    todo = missing(runs, place)
    if dry_run:
        _list(study, runs, todo, place, fmt)
        return
    skipped = f", {len(runs) - len(todo)} already finished" if len(todo) < len(runs) else ""
    click.echo(f"{study.name}: {len(runs)} runs{skipped}, in {place}", err=True)
    with _Progress(len(todo)) as progress:
        try:
            outcomes = run_all(todo, progress.started, progress.ended)
        except KeyboardInterrupt:
            click.echo("interrupted; the same command goes on with what is missing", err=True)
            sys.exit(130)
    failed = [outcome for outcome in outcomes if outcome.code]
    for outcome in failed:
        click.echo(f"failed: {outcome.path}: {outcome.reason}", err=True)
    sys.exit(1 if failed else 0)


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


class _Progress:
    """A bar with the time that is left on a terminal; a line a run elsewhere."""

    def __init__(self, count: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._console = console(stderr=True)
        self._count, self._done = count, 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            console=self._console,
            disable=not self._console.is_terminal,
            # one run is minutes: the estimate must not forget the first ones
            speed_estimate_period=24 * 3600.0,
        )
        self._task = self._bar.add_task("", total=count)

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.stop()

    def started(self, prepared: Prepared) -> None:
        """Show which run is under way."""
        self._bar.update(self._task, description=prepared.run.path.name)

    def ended(self, outcome: Outcome) -> None:
        """Count a run, and say how it ended."""
        self._done += 1
        word = "ok" if outcome.code == 0 else f"FAILED ({outcome.reason})"
        self._bar.update(self._task, advance=1)
        line = f"[{self._done}/{self._count}] {outcome.path.name}  {outcome.seconds:.1f} s  {word}"
        self._console.print(line, markup=False, soft_wrap=True)
