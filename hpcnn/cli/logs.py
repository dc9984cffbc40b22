"""``hpcnn logs``: show the output of a run, or follow it."""

from __future__ import annotations

import io
import sys

import click

from hpcnn.cli.output import say, say_closed, say_folded
from hpcnn.rundir.layout import RunDir
from hpcnn.util.errors import UsageError
from hpcnn.util.files import open_regular
from hpcnn.util.text import visible


@click.command(epilog="Example:  hpcnn logs -f 1234")
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on showing it until the job ends; exit with its status.")
def command(job: str, follow: bool) -> None:
    """Show the log of JOB: a job id, a run directory, or a folder of runs (the newest run's log)."""
    from hpcnn.rundir.find import find

    run = _run(job)
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
    if follow and run.path.is_dir() and not run.result.exists():
        sys.exit(_follow_here(run))
    if not run.log.exists():
        raise UsageError(f"{run.path}: there is no log yet")
    on_terminal = sys.stdout.isatty()
    with io.TextIOWrapper(open_regular(run.log), encoding="utf-8", errors="replace", newline="\n") as lines:
        for line in lines:
            if on_terminal:
                say_folded(line.removesuffix("\n").removesuffix("\r"))
            else:
                click.echo(visible(line.replace("\r\n", "\n")), nl=False)


def _run(target: str) -> RunDir:
    """Return the run that a target names; of a folder of runs, the newest, which is said."""
    from hpcnn.rundir.find import run_of, runs_of
    from hpcnn.util.text import counted, shown_path

    own = RunDir(target)
    if not own.path.is_dir() or any(file.exists() for file in (own.log, own.spec, own.job)):
        return run_of(target)
    runs = runs_of([target], closed=say_closed)
    others = f"; {counted(len(runs) - 1, 'other run')} beside it (hpcnn status {target})" if len(runs) > 1 else ""
    _warn(f"{shown_path(runs[0].path)}, the newest{others}")
    return runs[0]


def _follow_here(run: RunDir) -> int:
    """Show the log of a run on this machine until it has a result; return the exit status of the run."""
    import time

    from hpcnn.cli.progress import LastLine
    from hpcnn.jobs.watch import Log
    from hpcnn.rundir.close import exit_status
    from hpcnn.rundir.live import shows_life

    log = Log(run.log)
    with LastLine(run.path) as shown:
        while True:
            ended = not shows_life(run)
            log.pass_on(lambda line: shown.echo(visible(line)))
            if ended:
                break
            time.sleep(0.5)
    code = exit_status(run)
    if code is None:
        raise UsageError(f"{run.path}: there is no result, and nothing has been written for a minute")
    return code


def _warn(line: str) -> None:
    say(line, err=True)
