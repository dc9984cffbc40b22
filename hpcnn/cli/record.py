"""``hpcnn record``: close the record of a run, at the end of a job script. Must not import anything heavy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hpcnn.rundir.close import finish, note_of
from hpcnn.rundir.layout import RunDir
from hpcnn.util.errors import bad_value
from hpcnn.util.files import make_folder, read_json

_EXAMPLE = "\b\nExample:\n  hpcnn record finish --run-dir runs/first --exit-code 0 --seconds 12"

_run_dir_option = click.option("--run-dir", required=True, type=click.Path(file_okay=False), help="The run directory.")


def _pid_option(*, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--pid", type=int, required=required, default=None, help="Process of the job script.")


@click.group(hidden=True, epilog=_EXAMPLE)
def command() -> None:
    """Close the record of a run (called by job scripts)."""


@command.command("begin", epilog="\b\nExample:\n  hpcnn record begin --run-dir runs/first --pid $$")
@_run_dir_option
@_pid_option(required=True)
def begin_command(run_dir: str, pid: int) -> None:
    """Make a job script the owner of its run directory, and print the word by which its processes know it.

    Ends with status 2, and touches nothing, where another attempt is at work there. Prints ``completed`` for a
    completed run. Removes the result of an earlier attempt of a user's program: the program runs again.
    """
    from hpcnn.rundir.owner import begin, end
    from hpcnn.scheduler import job_lives

    run = RunDir(run_dir)
    make_folder(run.path, above=True)
    word = begin(run_dir, pid, job_lives)
    if (run.read_result() or {}).get("status") == "completed":
        end(run_dir, pid)
        word = "completed"
        click.echo("hpcnn: this run is completed; nothing is done", err=True)
    elif (read_json(run.spec) or {}).get("program"):  # a training begins its own record
        run.forget_end()
    click.echo(word)


@command.command("finish", epilog=_EXAMPLE)
@_run_dir_option
@click.option("--exit-code", required=True, type=int, help="Exit status of the launcher.")
@click.option("--seconds", type=float, default=None, help="Wall time of the launcher, in seconds.")
@click.option("--terminated", is_flag=True, help="The scheduler has sent SIGTERM to the job.")
@_pid_option(required=False)
def finish_command(run_dir: str, exit_code: int, seconds: float | None, terminated: bool, pid: int | None) -> None:
    """Write result.json where the ranks could not: a killed rank, or a program that keeps no record itself."""
    from hpcnn.jobs.notify import tell
    from hpcnn.rundir.owner import end, own
    from hpcnn.scheduler import job_lives

    _check_there(run_dir)
    with own(run_dir, job_lives):
        finish(run_dir, exit_code, seconds, terminated=terminated)
    if pid is not None:
        end(run_dir, pid)
    note = note_of(RunDir(run_dir))
    if note:
        click.echo(f"Warning: {note}", err=True)
    tell(RunDir(run_dir), lambda line: click.echo(f"Warning: {line}", err=True))


@command.command("stage", epilog="\b\nExample:\n  hpcnn record stage --run-dir runs/first --copies /local/hpcnn-1234")
@_run_dir_option
@click.option("--copies", required=True, help="How the names of all copies begin, on the disk of each node.")
def stage_command(run_dir: str, copies: str) -> None:
    """Copy the data of a training to the disks of all nodes of this job, and note it in staging.json."""
    from hpcnn.jobs.stage import stage

    _check_there(run_dir)
    stage(RunDir(run_dir), copies, lambda line: click.echo(line, err=True))


@command.command("copy", epilog="\b\nExample:\n  hpcnn record copy --run-dir runs/first")
@_run_dir_option
def copy_command(run_dir: str) -> None:
    """Make the copies of this node that staging.json plans (one task a node calls it)."""
    from hpcnn.jobs.stage import copy_here

    _check_there(run_dir)
    copy_here(RunDir(run_dir), lambda line: click.echo(line, err=True))


@command.command("as-worker", epilog="\b\nExample:\n  hpcnn record as-worker -- python my_script.py")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def as_worker_command(program: tuple[str, ...]) -> None:
    """Become PROGRAM, with a TF_CONFIG that names all ranks of the job and this one."""
    from hpcnn.parallel.worker import run_as_worker

    run_as_worker(program, os.environ)


def _check_there(run_dir: str) -> None:
    if not Path(run_dir).is_dir():
        raise bad_value("--run-dir", run_dir, "a directory that is there")
