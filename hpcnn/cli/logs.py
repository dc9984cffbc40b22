"""``hpcnn logs``: show the output of a run, or follow it."""

from __future__ import annotations

import sys

import click

from hpcnn.util.errors import UsageError


@click.command(epilog="Example:  hpcnn logs -f 1234")
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on showing it until the job ends; exit with its status.")
def command(job: str, follow: bool) -> None:
    """Show the log of JOB: a job id or a run directory."""
    from hpcnn.rundir.find import find, run_of

    run = run_of(job)
    if follow and run.job.exists():
        from hpcnn.jobs.watch import watch

        sys.exit(watch(find([str(run.path)])[0].job_id, run, _warn, on_line=click.echo))
    if not run.log.exists():
        raise UsageError(f"{run.path}: there is no log yet")
    click.echo(run.log.read_text(encoding="utf-8", errors="replace"), nl=False)


def _warn(line: str) -> None:
    click.echo(line, err=True)
