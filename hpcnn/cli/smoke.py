"""``hpcnn smoke``: the smoke test of distributed training, for CI."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import click


@click.command(epilog="\b\nExample:\n  hpcnn smoke --ntasks 2")
@click.option("--ntasks", type=click.IntRange(2), default=2, show_default=True, help="Horovod ranks.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False),
    default=None,
    help="Keep the two run directories in this folder.",
)
@click.option("--quiet", is_flag=True, help="Print the verdict only.")
def command(ntasks: int, keep: str | None, quiet: bool) -> None:
    """Train on digits serially and with Horovod ranks, and check that the two agree.

    Takes well under 90 s on 2 cores. Exits with status 0 if all weights agree to float32 rounding, else 1. The network
    is shallow: deep ones with batch normalization amplify rounding, with one rank too (docs/troubleshooting.md).
    """
    from hpcnn.machine.smoke import TOLERANCE, smoke
    from hpcnn.util.table import note

    folder = Path(keep or tempfile.mkdtemp(prefix="hpcnn-smoke-"))
    outcome = smoke(folder, ntasks, log=None if quiet else click.echo)  # an error leaves the logs it names
    verdict = "ok" if outcome.agrees else "FAILED"
    note(
        f"smoke: {verdict}: weights of 1 and {ntasks} ranks differ by at most {outcome.difference:.1e} "
        f"(allowed {TOLERANCE:.0e}); test accuracy {outcome.serial_accuracy:.4f} and {outcome.parallel_accuracy:.4f}"
    )
    if not outcome.agrees:
        click.echo(f"the two run directories are in {folder}", err=True)
        sys.exit(1)
    if keep is None:
        shutil.rmtree(folder)
