"""``hpcnn status``: show the states of submitted jobs, by one query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hpcnn.cli.output import format_option
from hpcnn.util.table import Column, emit

if TYPE_CHECKING:
    from hpcnn.scheduler.api import JobState


@click.command(epilog="Example:  hpcnn status 1234   or   hpcnn status runs/strong_scaling")
@click.argument("jobs", nargs=-1)
@format_option
def command(jobs: tuple[str, ...], fmt: str) -> None:
    """Show the state of JOBS: job ids, run directories, or folders of runs. Without any: all of the runs folder.

    A job that neither squeue nor sacct knows is shown as unknown, unless its record says how it ended. So is one of
    which they give no answer; the reason says why.
    """
    from hpcnn.rundir.find import find
    from hpcnn.scheduler import batch_scheduler
    from hpcnn.scheduler.states import requeued

    found = find(jobs)
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
                "reason": result.get("reason") or _reason(state, recorded=bool(result)),
                "run": str(job.run.path) if job.run else None,
            }
        )
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


def _reason(state: JobState, *, recorded: bool) -> str | None:
    """Return why a job waits, or why its state is open; a record leaves nothing open."""
    if state.status == "pending":
        return state.reason
    return None if recorded else state.no_answer or None
