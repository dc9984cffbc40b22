"""``hpcnn status``: show the states of submitted jobs, by one query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from hpcnn.cli.output import format_option
from hpcnn.rundir.memory import OUT_OF_MEMORY
from hpcnn.util.table import Column, emit
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
@format_option
def command(jobs: tuple[str, ...], efficiency: bool, fmt: str) -> None:
    """Show the state of JOBS: job ids, run directories, or folders of runs. Without any: all of the runs folder.

    A job that neither squeue nor sacct knows is shown as unknown, unless its record says how it ended. So is one of
    which they give no answer; the reason says why. For a job that its time limit or its memory has ended, the command
    that resumes it with more is shown.
    """
    from hpcnn.jobs.submission import recover_targets
    from hpcnn.rundir.find import find
    from hpcnn.scheduler import batch_scheduler
    from hpcnn.scheduler.states import requeued

    lost = recover_targets(jobs).unanswered
    found = find(jobs)
    if efficiency:
        from hpcnn.cli.efficiency import show

        show(found, fmt)
        return
    states = batch_scheduler().query([job.job_id for job in found])
    rows = []
    for job in found:
        state = states[job.job_id]
        result = (job.run.read_result() if job.run else None) or {}
        goes_on = requeued(result.get("status"), state.status)
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
    columns = [
        Column("job_id", "job", right=True),
        Column("status", "status"),
        Column("slurm_state", "Slurm"),
        Column("elapsed", "elapsed", right=True),
        Column("nodes", "nodes"),
        Column("reason", "reason"),
        Column("run", "run directory"),
    ]
    emit(rows, fmt, columns)
    if fmt == "table":
        for row in rows:
            if row["next"]:
                click.echo(f"job {row['job_id']} goes on with:  {row['next']}")


def _next(run: RunDir | None, state: JobState, result: Mapping[str, Json]) -> str | None:
    """Return the command that resumes a job which a limit has ended; what it needs is loaded for such jobs alone."""
    by_limit = state.timed_out or state.ran_out_of_memory
    if not by_limit and not any(word in str(result.get("reason")) for word in ("time limit", OUT_OF_MEMORY)):
        return None
    from hpcnn.jobs.advice import next_step

    return next_step(run, state)


def _row_of_lost(one: Unanswered) -> dict[str, Json]:
    """Return the row of a submission that was interrupted, and whose job is not found."""
    row = dict.fromkeys(("job_id", "status", "slurm_state", "elapsed", "nodes", "reason", "run"))
    return {**row, "status": one.state.status, "reason": one.reason, "run": str(one.record.parent)}


def _reason(state: JobState, result: Mapping[str, Json]) -> str | None:
    """Return the reason on record, or why the job waits; and why its state is open, where the record may not be last.

    An interrupted run may have been requeued.
    """
    recorded = result.get("reason") or (state.reason if state.status == "pending" else None)
    is_final = result.get("status") in ("completed", "failed")
    if state.ran_out_of_memory and not state.alive and OUT_OF_MEMORY not in str(recorded):
        recorded = "; ".join(text for text in (state.cause, recorded) if text)
    return "; ".join(str(text) for text in (recorded, "" if is_final else state.no_answer) if text) or None
