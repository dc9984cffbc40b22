"""``hpcnn logs``: the output of a run, as it is or as it grows."""

from __future__ import annotations

import sys

import click

from hpcnn.errors import UsageError


@click.command(epilog="Example:  hpcnn logs -f 1234")
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on showing it until the job ends; exit with its status.")
def command(job: str, follow: bool) -> None:
    """Show the log of JOB: a job id or a run directory."""
    from pathlib import Path

    from hpcnn.jobs import find
    from hpcnn.rundir import RunDir

    if Path(job).is_dir():
        run: RunDir | None = RunDir(job)
    else:
        found = find([job])
        if len(found) > 1:
            raise UsageError(f"job {job}: is an array of {len(found)} tasks; name one, e.g. {found[0].job_id}")
        run = found[0].run
    if run is None:
        raise UsageError(f"job {job}: none of the runs here has this id; name its run directory")
    if follow and run.job.exists():
        from hpcnn.watch import watch

        sys.exit(watch(find([str(run.path)])[0].job_id, run, say=click.echo))
    if not run.log.exists():
        raise UsageError(f"{run.path}: there is no log yet")
    click.echo(run.log.read_text(encoding="utf-8", errors="replace"), nl=False)
