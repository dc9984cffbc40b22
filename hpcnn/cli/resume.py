"""``hpcnn resume``: resume stopped trainings by submitting them again."""

from __future__ import annotations

import sys

import click

from hpcnn.cli.grouped import GroupedCommand
from hpcnn.cli.options import given_options, spec_options, trust_option
from hpcnn.specs.resources import Resources


@click.command(
    cls=GroupedCommand,
    epilog="\b\nExamples:\n  hpcnn resume runs/psc-cnn/20261121-101500-3fa9\n  hpcnn resume 1234 --time 4:00:00",
)
@click.argument("run")
@click.option("--dry-run", is_flag=True, help="Print the script, exactly, and do nothing else.")
@click.option("--wait", is_flag=True, help="Wait for a Slurm job to end, and exit with its status.")
@click.option("--follow", is_flag=True, help="Show a Slurm job's log while it runs (waits for its end).")
@trust_option
@spec_options(Resources)
def command(run: str, dry_run: bool, wait: bool, follow: bool, trust: bool, **options: object) -> None:
    """Go on with RUN, a run directory or job id: a training that its time limit, a signal or a dead node cut off.

    It goes on at the same epoch and step, with the same order of the samples and the same options; you may change its
    resources (the time limit, say). The tables show one run, with the gap left out.
    """
    from hpcnn.cli.submit import run_prepared
    from hpcnn.jobs.resume import prepare_again

    prepared = prepare_again(run, given_options(Resources, options), trust=trust)
    sys.exit(run_prepared(prepared, dry_run=dry_run, wait=wait, follow=follow))
