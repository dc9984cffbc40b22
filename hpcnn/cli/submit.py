"""``hpcnn submit``: render a job script, and run or submit it. A dry run takes the same path up to writing."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from typing import TYPE_CHECKING

import click

from hpcnn.cli.after import after_option
from hpcnn.cli.defaults import is_default
from hpcnn.cli.grouped import GroupedCommand
from hpcnn.cli.next import next_lines
from hpcnn.cli.options import given_options, option_name, spec_from_options, spec_options
from hpcnn.cli.output import say
from hpcnn.cli.site_option import site_option
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.table import note
from hpcnn.util.text import shown_path

if TYPE_CHECKING:
    from hpcnn.jobs.submit import Prepared
    from hpcnn.specs.job import JobSpec


@click.command(
    cls=GroupedCommand,
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn submit --site local --ntasks 2 --model psc-cnn-dropout --epochs 3\n"
        "  hpcnn submit --ntasks 2 -- python my_script.py --epochs 3"
    ),
)
@site_option("Site profile: how this machine runs jobs.")
@click.option("--name", default=None, help="Name of the run's folder below the runs folder.  [default: the model]")
@click.option(
    "--run-dir",
    default=None,
    type=click.Path(file_okay=False),
    help="The run directory.  [default: runs/NAME/TIME]",
)
@click.option("--dry-run", is_flag=True, help="Print the script, exactly, and do nothing else.")
@click.option("--diff", "other", metavar="RUN", help="Print what differs from the script of RUN, and do nothing else.")
@click.option("--quiet", is_flag=True, help="Do not show the job's output; it is in log.out all the same.")
@click.option("--test-only", is_flag=True, help="Ask Slurm when the job would start, and submit nothing.")
@click.option("--wait", is_flag=True, help="Wait for a Slurm job to end, and exit with its status.")
@click.option("--follow", is_flag=True, help="Show a Slurm job's log while it runs (waits for its end).")
@after_option
@spec_options(Resources)
@spec_options(SoftwareSpec)
@spec_options(TrainSpec)
@click.option(
    "--independent", is_flag=True, help="The ranks of your own PROGRAM are meant to share nothing: no warning of it."
)
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
def command(
    site: str,
    name: str | None,
    run_dir: str | None,
    dry_run: bool,
    other: str | None,
    quiet: bool,
    test_only: bool,
    wait: bool,
    follow: bool,
    after: str | None,
    independent: bool,
    program: tuple[str, ...],
    **options: object,
) -> None:
    """Train a model, or run your own PROGRAM after `--`, as a job with the asked resources.

    With more than one task the strategy is horovod unless --strategy says otherwise. At the site `local` the job runs
    at once, and the command exits with its status; at a site with Slurm it is submitted, and the command prints the job
    id and the run directory.
    """
    from pathlib import Path

    from hpcnn.jobs.submit import prepare
    from hpcnn.rundir.layout import new_run_id, runs_folder
    from hpcnn.scheduler import scheduler_of

    job = job_from_options(site, name, program, options, independent=independent)
    folder = Path(run_dir) if run_dir else runs_folder() / job.name / new_run_id()
    prepared = prepare(job, folder)
    if other is not None:
        from hpcnn.cli.script_diff import show

        show(other, prepared)
        return
    if test_only and not dry_run:
        scheduler = scheduler_of(prepared.site.scheduler)
        if not scheduler.queues:
            raise UsageError(f"--test-only: site {site} has no scheduler to ask")
        click.echo(scheduler.would_start(prepared.script, scheduler.after(after) if after else []))
        return
    sys.exit(run_prepared(prepared, dry_run=dry_run, wait=wait, follow=follow, quiet=quiet, after=after))


def run_prepared(
    prepared: Prepared, *, dry_run: bool, wait: bool, follow: bool, quiet: bool = False, after: str | None = None
) -> int:
    """Print, run or submit a job; return the exit status of the command."""
    from hpcnn.scheduler import scheduler_of

    for warning in prepared.warnings:
        _warn(f"Warning: {warning}")
    if dry_run:
        say(prepared.script, nl=False)  # the bytes of job.sh
        return 0
    if scheduler_of(prepared.site.scheduler).queues:
        return _enqueue(prepared, after, wait=wait or follow, follow=follow)
    for option, given in (("--follow", follow), ("--after", after)):
        if given:
            raise UsageError(f"{option}: site {prepared.site.name} has no scheduler to ask")
    return _run_here(prepared, quiet=quiet)


def _enqueue(prepared: Prepared, after: str | None, *, wait: bool, follow: bool) -> int:
    """Submit to the queue; print job id and run directory; wait if asked, and return the job's status."""
    from hpcnn.cli.progress import LastLine
    from hpcnn.jobs.submission import whole_submission
    from hpcnn.jobs.submit import enqueue
    from hpcnn.jobs.watch import watch
    from hpcnn.scheduler import scheduler_of

    options = scheduler_of(prepared.site.scheduler).after(after) if after else []
    try:
        with whole_submission():
            job_id = enqueue(prepared, options)
            click.echo(f"job: {job_id}")
            say(f"run directory: {prepared.run.path}")
    except KeyboardInterrupt:
        say(f"interrupted; hpcnn status {prepared.run.path} shows whether the job was submitted", err=True)
        return 130
    if not wait:
        next_lines(f"hpcnn logs -f {job_id}", "hpcnn top")
        return 0
    with LastLine(prepared.run.path) as shown:
        code = watch(job_id, prepared.run, _warn, on_line=shown.echo if follow else None)
    if code:
        reason = (prepared.run.read_result() or {}).get("reason")
        note(f"Error: job {job_id} ended with exit status {code}: {reason}", err=True)
    return code


def _run_here(prepared: Prepared, *, quiet: bool) -> int:
    from hpcnn.cli.progress import LastLine
    from hpcnn.jobs.submit import check_inputs, submit

    check_inputs(prepared)  # an error names no directory that is never made
    say(f"run directory: {prepared.run.path}", err=True)
    try:
        with LastLine(prepared.run.path, quiet=quiet) as shown:
            code = submit(prepared, on_line=None if quiet else shown.echo)
    except KeyboardInterrupt:
        say(f"interrupted; what was written is in {prepared.run.path}", err=True)
        return 130
    if code:
        reason = (prepared.run.read_result() or {}).get("reason")
        note(f"Error: the job ended with exit status {code}: {reason}", err=True)
        say(f"log: {prepared.run.log}", err=True)
    elif not quiet and prepared.job.train is not None:
        next_lines(f"hpcnn plot curves {shlex.quote(shown_path(prepared.run.path))}", "hpcnn status")
    return code


def _warn(line: str) -> None:
    say(line, err=True)


# Options of training that say something of a program too.
_OF_PROGRAMS = ("strategy", "batch_size", "samples")


def job_from_options(
    site: str, name: str | None, program: tuple[str, ...], options: dict[str, object], *, independent: bool = False
) -> JobSpec:
    """Return the job of the command line. Raises UsageError for options that contradict each other."""
    from hpcnn.rundir.layout import folder_name
    from hpcnn.specs.job import JobSpec, check_ranks
    from hpcnn.specs.stated import Stated
    from hpcnn.specs.train import usual_strategy

    resources = spec_from_options(Resources, given_options(Resources, options))
    software = spec_from_options(SoftwareSpec, given_options(SoftwareSpec, options))
    chosen = given_options(TrainSpec, options)
    if program:
        chosen = {key: value for key, value in chosen.items() if not is_default(key)}
        extra = ", ".join(option_name(key) for key in chosen if key not in _OF_PROGRAMS)
        if extra:
            raise UsageError(f"{extra}: options of training cannot go with a program of your own (after --)")
        check_ranks(resources, None, option_name)
        stated = spec_from_options(Stated, {**chosen, "independent": independent})
        own = name or program_name(program)
        return JobSpec(own, site, resources, program=program, software=software, stated=stated)
    if independent:
        raise UsageError("--independent: it goes with a program of your own (after --)")
    train = spec_from_options(TrainSpec, chosen)
    if "strategy" not in chosen:
        train = dataclasses.replace(train, strategy=usual_strategy(resources.ntasks))
    check_ranks(resources, train, option_name)
    return JobSpec(name or folder_name(train.model), site, resources, train=train, software=software)


def program_name(program: tuple[str, ...]) -> str:
    """Return a folder name for a user's program: the stem of its Python script, else of the program."""
    from pathlib import Path

    script = next((word for word in program if word.endswith(".py")), program[0])
    return Path(script).stem
