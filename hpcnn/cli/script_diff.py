"""What differs between the job script that is about to be submitted and that of an earlier run."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

import click

from hpcnn.cli.output import say_closed
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_bytes
from hpcnn.util.secret_names import is_secret

if TYPE_CHECKING:
    from hpcnn.jobs.submit import Prepared

_EXPORT = re.compile(r"^(export ([A-Za-z_]\w*)=).*$", re.MULTILINE)
# Lines of a diff, by their first character (diff(1), "Unified Format").
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def show(target: str, prepared: Prepared) -> None:
    """Print the lines that differ, as ``diff -u`` does; each script's own run directory is the same place to it."""
    from hpcnn.rundir.find import run_of, runs_of
    from hpcnn.util.text import shown_path, visible

    run = run_of(target)
    if run.path.is_dir() and not run.job_script.exists():  # a folder of runs: the newest
        run = runs_of([target], closed=say_closed)[0]
    try:
        before = read_bytes(run.job_script).decode(errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"--diff: {target!r} has no {run.job_script.name}") from error
    # hpcnn 0.1 wrote secrets into scripts
    before = _EXPORT.sub(lambda found: f"{found[1]}..." if is_secret(found[2]) else found[0], before)
    lines = difflib.unified_diff(
        before.replace(str(run.path), "RUN_DIR").splitlines(),
        prepared.script.replace(str(prepared.run.path), "RUN_DIR").splitlines(),
        shown_path(run.job_script),
        "what would be submitted",
        lineterm="",
    )
    printed = False
    for line in lines:
        printed = True
        click.secho(visible(line), fg=_COLOURS.get(line[:1]))
    if not printed:
        click.echo(f"the script is the same as that of {shown_path(run.path)}")
