"""``hpcnn record``: close the record of a run, at the end of a job script. Must not import anything heavy."""

from __future__ import annotations

import os

import click

from hpcnn.rundir.close import finish, note_of
from hpcnn.rundir.layout import RunDir

_EXAMPLE = "\b\nExample:\n  hpcnn record finish --run-dir runs/first --exit-code 0 --seconds 12"


@click.group(hidden=True, epilog=_EXAMPLE)
def command() -> None:
    """Close the record of a run (called by job scripts)."""


@command.command("finish", epilog=_EXAMPLE)
@click.option("--run-dir", required=True, type=click.Path(exists=True, file_okay=False), help="The run directory.")
@click.option("--exit-code", required=True, type=int, help="Exit status of the launcher.")
@click.option("--seconds", type=float, default=None, help="Wall time of the launcher, in seconds.")
def finish_command(run_dir: str, exit_code: int, seconds: float | None) -> None:
    """Write result.json where the ranks could not: a killed rank, or a program that keeps no record itself."""
    finish(run_dir, exit_code, seconds)
    note = note_of(RunDir(run_dir))
    if note:
        click.echo(f"Warning: {note}", err=True)


@command.command("as-worker", epilog="\b\nExample:\n  hpcnn record as-worker -- python my_script.py")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def as_worker_command(program: tuple[str, ...]) -> None:
    """Become PROGRAM, with a TF_CONFIG that names all ranks of the job and this one."""
    from hpcnn.parallel.worker import run_as_worker

    run_as_worker(program, os.environ)
