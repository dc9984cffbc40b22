"""``hpcnn logs``: show the output of a run, or follow it."""

from __future__ import annotations

import sys

import click

from hpcnn.util.errors import UsageError
from hpcnn.util.text import visible


@click.command(epilog="Example:  hpcnn logs -f 1234")
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on showing it until the job ends; exit with its status.")
def command(job: str, follow: bool) -> None:
    """Show the log of JOB: a job id or a run directory."""
    from hpcnn.rundir.find import find, run_of

    run = run_of(job)
    if follow and run.job.exists():
        from hpcnn.cli.progress import LastLine
        from hpcnn.jobs.submission import recover_targets
        from hpcnn.jobs.watch import watch

        for lost in recover_targets([str(run.path)]).unanswered:
            raise UsageError(f"{run.path}: {lost.reason}")
        with LastLine(run.path) as shown:
            job = find([str(run.path)])[0].job_id
            code = watch(job, run, _warn, on_line=lambda line: shown.echo(visible(line)))
        sys.exit(code)
    if not run.log.exists():
        raise UsageError(f"{run.path}: there is no log yet")
    with run.log.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for line in lines:
            click.echo(visible(line.replace("\r\n", "\n")), nl=False)


def _warn(line: str) -> None:
    click.echo(line, err=True)
