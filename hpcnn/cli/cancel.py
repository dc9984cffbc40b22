"""``hpcnn cancel``: cancel submitted jobs."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from hpcnn.rundir.find import Job


@click.command(epilog="Example:  hpcnn cancel 1234   or   hpcnn cancel runs/strong_scaling")
@click.argument("jobs", nargs=-1, required=True)
def command(jobs: tuple[str, ...]) -> None:
    """Cancel JOBS: job ids, run directories, or folders of runs. Jobs that have ended are left alone."""
    from hpcnn.rundir.close import finish
    from hpcnn.rundir.find import find
    from hpcnn.scheduler import slurm
    from hpcnn.scheduler.parse import shortened
    from hpcnn.scheduler.states import ALIVE

    found = find(jobs)
    states = slurm.query([job.job_id for job in found])
    unknown = [job.job_id for job in found if states[job.job_id].status == "unknown" and not _has_ended(job)]
    if unknown:
        raise UsageError(f"job {', '.join(unknown)}: Slurm does not know it; nothing was cancelled")
    alive = [job for job in found if states[job.job_id].status in ALIVE]
    slurm.cancel([job.job_id for job in alive])
    for job in alive:
        if job.run is not None and states[job.job_id].status == "pending":  # it cannot close its own record
            finish(job.run.path, 128 + signal.SIGTERM, reason="cancelled before it started")
    words = shortened(job.job_id for job in alive)
    click.echo(f"cancelled: {', '.join(words)}" if alive else "none of these jobs is pending or running")


def _has_ended(job: Job) -> bool:
    """Return whether a job has a result: Slurm may no longer know the job."""
    return job.run is not None and job.run.result.exists()
