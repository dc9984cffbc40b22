"""The common part of the commands of ``hpcnn bench``: run a benchmark as a job, and read its record."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import click

from hpcnn.cli.options import Command, given_options, spec_from_options, spec_options
from hpcnn.cli.output import format_option
from hpcnn.cli.site_option import site_option
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.util.errors import RunError, UsageError, bad_value
from hpcnn.util.files import read_json, write_json
from hpcnn.util.types import Json


def job_options(name: str) -> Callable[[Command], Command]:
    """Add the options for the job of a benchmark and its result; ``name``: default name of the run's folder."""
    options = (
        site_option("Site profile: how this machine runs jobs."),
        click.option("--output", type=click.Path(dir_okay=False), help="Write the result there too, as JSON."),
        click.option("--name", default=name, show_default=True, help="Name of the run's folder below the runs folder."),
        click.option(
            "--run-dir", type=click.Path(file_okay=False), help="The run directory.  [default: runs/NAME/TIME]"
        ),
        click.option("--dry-run", is_flag=True, help="Print the script, exactly, and do nothing else."),
        click.option("--wait", is_flag=True, help="Wait for a Slurm job to end, and print its result."),
        spec_options(Resources),
        spec_options(SoftwareSpec),
        format_option,
    )

    def add(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def job_of(site: str, name: str, options: dict[str, object], program: tuple[str, ...]) -> JobSpec:
    """Return the job that runs ``program`` with the resources and software among ``options``."""
    resources = spec_from_options(Resources, given_options(Resources, options))
    software = spec_from_options(SoftwareSpec, given_options(SoftwareSpec, options))
    return JobSpec(name, site, resources, program=program, software=software)


def result_of(
    job: JobSpec,
    file: Callable[[RunDir], Path],
    *,
    run_dir: str | None,
    output: str | None,
    dry_run: bool,
    wait: bool,
) -> dict[str, Json]:
    """Run the job; return its record, ``file`` of the run directory, and write it to ``output`` too.

    Ends the command if there is no record yet: after a dry run, for a job that runs later, after a failure.
    """
    from hpcnn.cli.submit import run_prepared
    from hpcnn.jobs.submit import prepare
    from hpcnn.rundir.layout import new_run_id, runs_folder
    from hpcnn.scheduler import scheduler_of

    prepared = prepare(job, Path(run_dir) if run_dir else runs_folder() / job.name / new_run_id())
    ends = wait or not scheduler_of(prepared.site.scheduler).queues
    if output and not ends:
        raise bad_value("--output", output, f"no value without --wait: at site {job.site} the job runs later")
    apart = ends and not dry_run  # standard output is for the result
    with contextlib.redirect_stdout(sys.stderr) if apart else contextlib.nullcontext():
        code = run_prepared(prepared, dry_run=dry_run, wait=wait, follow=False, quiet=True)
    if code or dry_run or not ends:
        sys.exit(code)
    result = read_json(file(prepared.run))
    if result is None:
        raise RunError(f"the job left no {file(prepared.run).name}; see {prepared.run.log}")
    if output:
        try:
            write_json(Path(output), result)
        except OSError as error:
            raise UsageError(f"--output: {output!r} cannot be written: {error.strerror}") from error
    return result
