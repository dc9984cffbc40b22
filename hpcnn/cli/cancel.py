"""``hpcnn cancel``: cancel submitted jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hpcnn.cli.output import say_closed
from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from hpcnn.rundir.find import Job
    from hpcnn.scheduler.api import JobState


@click.command(epilog="Example:  hpcnn cancel 1234   or   hpcnn cancel runs/strong_scaling")
@click.argument("jobs", nargs=-1, required=True)
def command(jobs: tuple[str, ...]) -> None:
    """Cancel JOBS: job ids, run directories, or folders of runs. Jobs that have ended are left alone."""
    from hpcnn.jobs.submission import recover_targets
    from hpcnn.rundir.close import finish
    from hpcnn.rundir.find import find
    from hpcnn.scheduler import batch_scheduler
    from hpcnn.scheduler.api import NoAnswer
    from hpcnn.scheduler.parse import shortened

    lost = recover_targets(jobs).in_doubt
    if lost:
        raise NoAnswer(f"{lost[0].record.parent}: {lost[0].reason}; nothing was cancelled")
    found = find(jobs, closed=say_closed)
    scheduler = batch_scheduler()
    states = scheduler.query([job.job_id for job in found])
    in_doubt = [job.job_id for job in found if _is_in_doubt(job, states[job.job_id])]
    if in_doubt:
        raise NoAnswer(f"job {', '.join(in_doubt)}: {states[in_doubt[0]].no_answer}; nothing was cancelled")
    unknown = [job.job_id for job in found if states[job.job_id].unknown and not _has_ended(job)]
    if unknown:
        raise UsageError(f"job {', '.join(unknown)}: Slurm does not know it; nothing was cancelled")
    alive = [job for job in found if states[job.job_id].alive]
    scheduler.cancel([job.job_id for job in alive])
    for job in alive:
        if job.run is not None and states[job.job_id].status == "pending":  # it cannot close its own record
            finish(job.run.path, states[job.job_id].exit_status, reason="cancelled before it started")
    words = shortened(job.job_id for job in alive)
    click.echo(f"cancelled: {', '.join(words)}" if alive else "none of these jobs is pending or running")


def _is_in_doubt(job: Job, state: JobState) -> bool:
    """Whether a job may be pending or running, and the scheduler does not say: an interrupted one may be requeued."""
    result = (job.run.read_result() if job.run else None) or {}
    return state.may_be_alive and not state.alive and result.get("status") not in ("completed", "failed")


def _has_ended(job: Job) -> bool:
    """Return whether a job has a result: Slurm may no longer know the job."""
    return job.run is not None and job.run.result.exists()
