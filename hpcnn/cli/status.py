"""``hpcnn status``: show the states of runs and submitted jobs, by one query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from hpcnn.cli.next import no_runs
from hpcnn.cli.output import format_option, say, say_closed
from hpcnn.util.table import Column, emit, note, wide_asked
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from hpcnn.jobs.submission import Unanswered
    from hpcnn.rundir.layout import RunDir
    from hpcnn.scheduler.api import JobState


@click.command(epilog="Example:  hpcnn status 1234   or   hpcnn status runs/strong_scaling")
@click.argument("jobs", nargs=-1)
@click.option(
    "--efficiency", is_flag=True, help="Show what each job used of what it had, and what to ask for next time."
)
@click.option(
    "--last", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="Of a table: the newest N runs."
)
@format_option
def command(jobs: tuple[str, ...], efficiency: bool, last: int, fmt: str) -> None:
    """Show the state of JOBS: job ids, run directories, or folders of runs. Without any: all of the runs folder.

    Runs of this machine are shown too, the newest first, with the settings in which they differ.

    A job is unknown if neither squeue nor sacct knows it and its record does not say how it ended. It is also unknown
    if they give no answer; the reason says why. After a job that its time limit or its memory has ended comes the
    command that resumes it with more. A job that Slurm killed before it could close its record gets one.
    """
    from hpcnn.jobs.ended import settle
    from hpcnn.jobs.submission import recover_targets
    from hpcnn.rundir.find import find, runs_of
    from hpcnn.scheduler import batch_scheduler

    lost = recover_targets(jobs).unanswered
    runs = runs_of(jobs, closed=say_closed)
    found = find(jobs, or_none=bool(runs))
    if efficiency:
        from hpcnn.cli.efficiency import show

        show(found, fmt)
        return
    states = batch_scheduler().query([job.job_id for job in found])
    rows = []
    for job in found:
        state = states[job.job_id]
        if job.run:
            settle(job.run, state)
        result = (job.run.read_result() if job.run else None) or {}
        goes_on = state.goes_on_after(result.get("status"))
        rows.append(
            {
                "job_id": job.job_id,
                "status": state.status if goes_on else result.get("status") or state.status,
                "slurm_state": state.state,
                "elapsed": state.elapsed or None,
                "nodes": state.nodes or None,
                "reason": _reason(state, result),
                "run": str(job.run.path) if job.run else None,
                "next": _next(job.run, state, result),
            }
        )
    rows += [_row_of_lost(one) for one in lost]
    submitted = {row["run"] for row in rows}
    rows += [_row_of_run(run) for run in runs if str(run.path) not in submitted]
    if fmt == "table" and not rows:
        no_runs()
    elif fmt == "table":
        _show(rows, runs, last)
    else:
        keys = ("job_id", "status", "slurm_state", "elapsed", "nodes", "reason", "run")
        emit(rows, fmt, [Column(key, key) for key in keys])


def _show(rows: list[dict[str, Json]], runs: list[RunDir], last: int) -> None:
    """Print the newest rows, with the settings in which their runs differ; then reasons, and what goes on."""
    from pathlib import Path

    from hpcnn.rundir.settings import differing, settings_of, words
    from hpcnn.util.files import read_json
    from hpcnn.util.text import in_one_line, shown_path, visible

    place = {str(run.path): number for number, run in enumerate(runs)}
    rows = sorted(rows, key=lambda row: place.get(str(row["run"]), -1))
    left, rows = max(len(rows) - last, 0), rows[:last]
    settings = differing([settings_of(read_json(Path(str(row["run"])) / "spec.json") or {}) for row in rows])
    shown = [
        {
            **row,
            "run": shown_path(row["run"]) if row["run"] else None,
            "settings": words(own, without=("name", "study")) or None,
        }
        for row, own in zip(rows, settings, strict=True)
    ]
    filled = {key for row in shown for key, value in row.items() if value}
    columns = [
        Column("run", "run directory"),
        Column("job_id", "job", right=True),
        Column("status", "status"),
        Column("slurm_state", "Slurm", wide=True),
        Column("elapsed", "elapsed", right=True, wide=True),
        Column("nodes", "nodes", wide=True),
        Column("settings", "what differs"),
        Column("reason", "reason", wide=True),
    ]
    emit(shown, "table", [column for column in columns if column.key in filled or column.key in ("run", "status")])
    for row in [] if wide_asked() else shown:
        if row["reason"]:
            note(in_one_line(f"{row['run'] or row['job_id']}: {row['status']}: {row['reason']}"))
    if left:
        note(f"{left} older runs: --last {left + len(rows)} shows them too")
    for row in rows:
        if row["next"]:
            say(f"job {visible(str(row['job_id']))} goes on with:  {row['next']}")


def _row_of_run(run: RunDir) -> dict[str, Json]:
    """Return the row of a run that was not submitted: one of this machine."""
    from hpcnn.rundir.live import shows_life

    result = run.read_result() or {}
    status = result.get("status") or ("running" if shows_life(run) else "unknown")
    reason = result.get("reason") or ("it has no result, and writes nothing" if status == "unknown" else None)
    row = dict.fromkeys(("job_id", "status", "slurm_state", "elapsed", "nodes", "reason", "run", "next"))
    return {**row, "status": status, "reason": reason, "run": str(run.path)}


def _next(run: RunDir | None, state: JobState, result: Mapping[str, Json]) -> str | None:
    """Return the command that resumes a job which a limit has ended; what it needs is loaded for such jobs alone."""
    from hpcnn.rundir.memory import OUT_OF_MEMORY

    by_limit = state.timed_out or state.ran_out_of_memory
    if not by_limit and not any(word in str(result.get("reason")) for word in ("time limit", OUT_OF_MEMORY)):
        return None
    from hpcnn.jobs.advice import next_step

    return next_step(run, state)


def _row_of_lost(one: Unanswered) -> dict[str, Json]:
    """Return the row of a submission that was interrupted, and whose job is not found."""
    row = dict.fromkeys(("job_id", "status", "slurm_state", "elapsed", "nodes", "reason", "run", "next"))
    return {**row, "status": one.state.status, "reason": one.reason, "run": str(one.record.parent)}


def _reason(state: JobState, result: Mapping[str, Json]) -> str | None:
    """Return the reason on record, or why the job waits; and why its state is open, where the record may not be last.

    An interrupted run may have been requeued.
    """
    from hpcnn.rundir.memory import OUT_OF_MEMORY

    recorded = result.get("reason") or (state.reason if state.status == "pending" else None)
    is_final = result.get("status") in ("completed", "failed")
    if state.ran_out_of_memory and not state.alive and OUT_OF_MEMORY not in str(recorded):
        recorded = "; ".join(text for text in (state.cause, recorded) if text)
    return "; ".join(str(text) for text in (recorded, "" if is_final else state.no_answer) if text) or None
