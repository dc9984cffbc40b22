"""``hpcnn study submit``: submit missing runs as job arrays. A dry run takes the same path up to writing."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from hpcnn.cli.after import after_option
from hpcnn.cli.grouped import GroupedCommand
from hpcnn.cli.next import next_lines
from hpcnn.cli.output import format_option, say
from hpcnn.cli.study_options import folder_of, read_study, study_options
from hpcnn.util.errors import HpcnnError
from hpcnn.util.table import Column, emit
from hpcnn.util.text import shown_path
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from pathlib import Path

    from hpcnn.scheduler.api import Queue, Scheduler
    from hpcnn.sites.profile import Site
    from hpcnn.study.arrays import Batch
    from hpcnn.study.expand import PlannedRun
    from hpcnn.study.states import RunState
    from hpcnn.study.submit import Plan


@click.command(
    "submit",
    cls=GroupedCommand,
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn study submit strong_scaling --site narval --account def-prof --dry-run\n"
        "  hpcnn study submit my_study.toml --site narval --time 0:20:00 --wait"
    ),
)
@click.argument("file")
@click.option("--site", required=True, help="Site profile: the cluster.")
@study_options
@click.option("--max-concurrent", type=click.IntRange(min=1), metavar="N", help="Tasks of an array at a time (%N).")
@after_option
@click.option("--dry-run", is_flag=True, help="List the arrays, and do nothing else.")
@click.option("--scripts", is_flag=True, help="Print each array's script and its first run's, and do nothing else.")
@click.option("--test-only", is_flag=True, help="Ask Slurm when each array would start, and submit nothing.")
@click.option("--keep-going", is_flag=True, help="Submit the rest as room appears under the site's limits.")
@click.option("--wait", is_flag=True, help="Wait until all runs have ended; exit with status 1 if one failed.")
@format_option
def command(
    file: str,
    site: str,
    folder: str | None,
    changes: tuple[str, ...],
    max_concurrent: int | None,
    after: str | None,
    dry_run: bool,
    scripts: bool,
    test_only: bool,
    keep_going: bool,
    wait: bool,
    fmt: str,
    **options: object,
) -> None:
    """Submit the study FILE: a path, or the name of a packaged study (smoke, strong_scaling, ...).

    Runs that need the same resources are one job array, or several where the site limits their size. Completed runs
    and those in the queue are skipped: the same command again submits what is missing by then.
    """
    from hpcnn.scheduler import scheduler_of
    from hpcnn.sites.load import load_site
    from hpcnn.study.expand import expand
    from hpcnn.study.run import check_all_staged
    from hpcnn.study.submit import plan as make_plan
    from hpcnn.study.submit import settle
    from hpcnn.util.lock import lock

    profile = load_site(site)
    scheduler = scheduler_of(profile.scheduler)
    study = read_study(file, changes, options)
    place = folder_of(study, folder)
    runs = expand(study, site)
    shown_only = scripts or dry_run
    queue = _queue_if_any(scheduler) if shown_only else None
    plan = make_plan(runs, place, profile, max_concurrent, queue=queue)
    waits_for = scheduler.after(after) if after else []
    if scripts:
        _print_scripts(plan, place)
    elif dry_run:
        _print_left_out(plan, runs, profile)
        _list(plan, place, fmt)
    elif test_only:
        for batch in plan.batches:
            click.echo(f"{_tasks(batch)}: {scheduler.would_start(batch.text, waits_for)}")
    else:
        check_all_staged([run for batch in plan.batches for run in batch.runs])
        if keep_going:
            _emit(_submit_in_turn(runs, place, profile, max_concurrent, waits_for, fmt), place, fmt)
            plan = replace(plan, left=0)
        else:
            with lock(place):
                settle(place, runs)
                # again: another command may have submitted some before the lock was taken
                plan = make_plan(runs, place, profile, max_concurrent)
                _print_left_out(plan, runs, profile)
                _submit(plan, place, waits_for, fmt)
        if not wait and plan.batches:
            next_lines(f"hpcnn study status {shlex.quote(shown_path(place))} --watch")
        if wait:
            _wait([place / run.run_id for run in runs], plan.left)
        elif plan.left and not plan.batches:
            sys.exit(1)


def _queue_if_any(scheduler: Scheduler) -> Queue:
    """Return the user's jobs; none, with a message, without an answer of Slurm: scripts can be shown anywhere."""
    from hpcnn.scheduler.api import NoAnswer

    try:
        return scheduler.queue() if scheduler.available() else {}
    except NoAnswer:
        click.echo("squeue does not answer: runs in the queue are shown as missing", err=True)
        return {}


def _submit(plan: Plan, place: Path, options: list[str], fmt: str) -> None:
    """Submit, and print what was submitted, even if Slurm refuses one of several."""
    from hpcnn.study.submit import submit_all

    rows = []
    try:
        for batch, job_id in submit_all(plan, place, options):
            rows.append(_row(batch, place, fmt, job_id))
    except KeyboardInterrupt:
        _emit(rows, place, fmt)
        click.echo("interrupted; the runs above are submitted, and the same command submits the others", err=True)
        sys.exit(130)
    except HpcnnError as error:
        _emit(rows, place, fmt)
        runs = sum(row["tasks"] for row in rows)
        raise HpcnnError(
            f"{error}; {runs} of {plan.runs} runs are submitted; the same command submits the others later"
        ) from error
    _emit(rows, place, fmt)


# Between two looks for room in the queue.
_FIRST_PAUSE, _LONGEST_PAUSE = 15.0, 300.0


def _submit_in_turn(
    runs: list[PlannedRun], place: Path, site: Site, max_concurrent: int | None, options: list[str], fmt: str
) -> list[dict[str, Json]]:
    """Submit as many runs as the site takes, and the rest as room appears; return a row for each submission.

    Where the scheduler refuses an array for its limits, halves of it are tried: a site may not say what its limit is.
    """
    from hpcnn.scheduler.api import NoAnswer, QueueFull
    from hpcnn.study.submit import plan as make_plan
    from hpcnn.study.submit import settle, submit_all
    from hpcnn.util.lock import lock

    rows: list[dict[str, Json]] = []
    most, pause = None, _FIRST_PAUSE
    while True:
        full, tried, before = "", 0, len(rows)
        try:
            with lock(place):
                settle(place, runs)
                plan = make_plan(runs, place, site, max_concurrent, most=most)
                tried = plan.runs
                for batch, job_id in submit_all(plan, place, options):
                    rows.append(_row(batch, place, fmt, job_id))
                    click.echo(f"job {job_id}: {_tasks(batch)}", err=True)
            if not plan.left:
                return rows
            full = f"{plan.queued} jobs are in the queue"
        except QueueFull as error:
            full = str(error)
        except NoAnswer as error:
            full, tried = str(error), 0  # of a submission that may have been accepted, the next look says more
        except KeyboardInterrupt:
            _emit(rows, place, fmt)
            click.echo("interrupted; the runs above are submitted, and the same command submits the others", err=True)
            sys.exit(130)
        if tried > 1 and len(rows) == before:
            most = tried // 2  # the next try is at once
            continue
        pause = _FIRST_PAUSE if len(rows) > before else min(2 * pause, _LONGEST_PAUSE)
        most = 2 * tried if most and len(rows) > before else most
        click.echo(f"{full}; looking for room again in {pause:g} s", err=True)
        time.sleep(pause)


def _wait(paths: list[Path], left: int) -> None:
    """Wait until the runs have ended, including those that were in the queue before, and exit.

    left: number of runs that could not be submitted, for which the command does not wait.
    """
    from hpcnn.cli.progress import Progress
    from hpcnn.study.states import look
    from hpcnn.study.wait import wait

    waiting = [state.run.path for state in look(paths) if state.status not in ("completed", "missing")]
    with Progress(len(waiting)) as progress:

        def ended(state: RunState) -> None:
            how = "ok" if state.status == "completed" else f"{state.status.upper()} ({state.reason})"
            progress.ended(state.run.path.name, how)

        try:
            states = wait(waiting, ended, lambda line: click.echo(line, err=True))
        except KeyboardInterrupt:
            click.echo("no longer waiting; the jobs go on (hpcnn study status shows them)", err=True)
            sys.exit(130)
    sys.exit(1 if left or any(state.status != "completed" for state in states) else 0)


def _print_left_out(plan: Plan, runs: list[PlannedRun], site: Site) -> None:
    parts = [f"{len(runs)} runs"]
    parts += [f"{plan.completed} completed"] if plan.completed else []
    parts += [f"{plan.in_queue} in the queue"] if plan.in_queue else []
    parts.append(f"{plan.runs} to submit")
    say(f"{runs[0].job.name}: {', '.join(parts)}", err=True)
    for warning in dict.fromkeys(text for batch in plan.batches for run in batch.runs for text in run.warnings):
        click.echo(f"Warning: {warning}", err=True)
    if plan.left:
        click.echo(
            f"{plan.left} runs are left for later: site {site.name} takes {site.submit_limit} jobs of a user at a time,"
            f" and {plan.queued} are in the queue; the same command goes on when there is room",
            err=True,
        )


def _print_scripts(plan: Plan, place: Path) -> None:
    """Print each array's script, and the job script of its first run, each under its path as head(1) does."""
    for batch in plan.batches:
        shown = [(batch.file(place), batch.script)] if batch.script else []
        for path, script in (*shown, (batch.runs[0].run.job_script, batch.runs[0].script)):
            say(f"==> {path} <==")
            say(script or "")


def _list(plan: Plan, place: Path, fmt: str) -> None:
    _emit([_row(batch, place, fmt, None) for batch in plan.batches], place, fmt)


def _row(batch: Batch, place: Path, fmt: str, job_id: str | None) -> dict[str, Json]:
    from hpcnn.study.arrays import shape

    resources, directives = batch.runs[0].job.resources, shape(batch.runs[0].script)
    asked = dict(directive.partition("=")[::2] for directive in directives)
    row: dict[str, Json] = {
        "job_id": job_id,
        "tasks": len(batch.runs),
        "nodes": resources.nodes,
        "ntasks": resources.ntasks,
        "cpus_per_task": int(asked["--cpus-per-task"]),
        "gpus_per_node": resources.gpus_per_node,
        "time": asked.get("--time"),
        "first_run": batch.runs[0].run.path.name,
        "script": str(batch.file(place)),
    }
    if fmt == "json":
        row["directives"] = list(directives)
        row["runs"] = [str(run.run.path) for run in batch.runs]
        row["text"] = batch.text
    return row


def _emit(rows: Iterable[dict[str, Json]], place: Path, fmt: str) -> None:
    from pathlib import Path

    rows = list(rows)
    columns = [
        *([Column("job_id", "job", right=True)] if any(row["job_id"] for row in rows) else []),
        Column("tasks", "runs", right=True),
        Column("nodes", "nodes", right=True),
        Column("ntasks", "ranks", right=True),
        Column("cpus_per_task", "cores a rank", right=True),
        *([Column("gpus_per_node", "GPUs a node", right=True)] if any(row["gpus_per_node"] for row in rows) else []),
        Column("time", "time", right=True),
        Column("first_run", "first run"),
        Column("script", "script", show=lambda path: str(Path(path).relative_to(place))),
    ]
    if rows or fmt != "table":
        emit(rows, fmt, columns, title=f"in {place}")


def _tasks(batch: Batch) -> str:
    return f"{len(batch.runs)} runs as {batch.runs[0].run.path.name}"
