"""``hpcnn status``: show the states of submitted jobs, by one query."""

from __future__ import annotations

import click

from hpcnn.cli.output import format_option
from hpcnn.util.table import Column, emit


@click.command(epilog="Example:  hpcnn status 1234   or   hpcnn status runs/strong_scaling")
@click.argument("jobs", nargs=-1)
@format_option
def command(jobs: tuple[str, ...], fmt: str) -> None:
    """Show the state of JOBS: job ids, run directories, or folders of runs. Without any: all of the runs folder.

    A job that neither squeue nor sacct knows is shown as unknown, unless its record says how it ended.
    """
    from hpcnn.rundir.find import find
    from hpcnn.scheduler import slurm
    from hpcnn.scheduler.states import requeued

    found = find(jobs)
    states = slurm.query([job.job_id for job in found])
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
                "reason": result.get("reason") or (state.reason if state.status == "pending" else None),
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
