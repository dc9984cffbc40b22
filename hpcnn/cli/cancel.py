"""``hpcnn cancel``: cancel submitted jobs."""

from __future__ import annotations

import click

from hpcnn.errors import UsageError


@click.command(epilog="Example:  hpcnn cancel 1234   or   hpcnn cancel runs/strong_scaling")
@click.argument("jobs", nargs=-1, required=True)
def command(jobs: tuple[str, ...]) -> None:
    """Cancel JOBS: job ids, run directories, or folders of runs. Jobs that have ended are left alone."""
    from hpcnn.jobs import find
    from hpcnn.scheduler import slurm

    found = find(jobs)
    states = slurm.query([job.job_id for job in found])
    unknown = [job.job_id for job in found if states[job.job_id].status == "unknown"]
    if unknown:
        raise UsageError(f"job {', '.join(unknown)}: Slurm does not know it; nothing was cancelled")
    alive = [job.job_id for job in found if states[job.job_id].status in ("pending", "running")]
    slurm.cancel(alive)
    click.echo(f"cancelled: {', '.join(alive)}" if alive else "none of these jobs is pending or running")
