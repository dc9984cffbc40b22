"""``hpcnn export``: write the trained network of a run for use elsewhere, or the records of runs to MLflow."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from hpcnn.cli.choice import Choice
from hpcnn.cli.options import trust_option
from hpcnn.cli.output import say, say_closed
from hpcnn.cli.plot import epoch_option
from hpcnn.util.errors import UsageError, bad_value

_FORMATS = ("keras", "saved-model", "onnx")
_SUFFIXES = {"keras": ".keras", "onnx": ".onnx"}


@click.command(
    epilog="\b\nExamples:\n  hpcnn export runs/first --format saved-model\n"
    "  hpcnn export runs/first --format onnx --epoch 2 --output digits.onnx\n"
    "  hpcnn export --mlflow tracking runs/strong_scaling runs/first",
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=Choice(_FORMATS),
    default="keras",
    show_default=True,
    help="A .keras file, a folder for TensorFlow Serving and the like, or an ONNX file.",
)
@click.option(
    "--output",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="File or folder to write.  [default: RUN/exported/epoch-NNN.FORMAT]",
)
@epoch_option
@trust_option
@click.option("--force", is_flag=True, help="Replace what is there.")
@click.option(
    "--mlflow",
    "store",
    metavar="URI|DIR",
    help="Write no network, but the records of all RUNs to this MLflow store; folders of runs will do.",
)
@click.pass_context
def command(
    ctx: click.Context,
    runs: tuple[str, ...],
    form: str,
    output: Path | None,
    epoch: int | None,
    trust: bool,
    force: bool,
    store: str | None,
) -> None:
    """Write the trained network of a RUN for use elsewhere, and print the name of the file.

    What was written is read again, and must give the outputs of the run's network for some test samples; if not, the
    command ends with status 1 and leaves no file. The network takes what the training fed it: where pixels were
    divided by 255, divide them first. Weights and arithmetic are float32.

    Needs the trained network: train with --checkpoint. The format onnx needs: pip install 'hpcnn[export]'.

    With --mlflow, the command writes settings, metrics of each epoch and files of the RUNs to MLflow, in an experiment
    a study. Runs that are there already are replaced if their record has changed. Needs: pip install 'hpcnn[mlflow]'.
    """
    if store is not None:
        _to_mlflow(ctx, store, runs)
    elif len(runs) > 1:
        raise UsageError(f"RUN: there are {len(runs)}; a network is that of one run. --mlflow takes several")
    else:
        _network(runs[0], form, output, epoch, trust=trust, force=force)


def _to_mlflow(ctx: click.Context, store: str, runs: tuple[str, ...]) -> None:
    """Write the records of all runs to a store, a line each."""
    for name, option in (("form", "format"), ("output",) * 2, ("epoch",) * 2, ("trust",) * 2, ("force",) * 2):
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise UsageError(f"--{option}: is for networks; --mlflow writes none")

    from collections import Counter

    from hpcnn.report.mlflow import write_runs
    from hpcnn.rundir.find import is_job, run_of, runs_of
    from hpcnn.util.text import shown_path

    folders = [target for target in runs if not is_job(target)]
    found = [run_of(target) for target in runs if is_job(target)]
    if folders:  # the oldest first, as they would have been written
        found += reversed(runs_of(folders, closed=say_closed))
    done: Counter[str] = Counter()
    for written, what in write_runs(store, found):
        click.echo(f"{shown_path(written.path)}: {what}")
        done[what] += 1
    click.echo(", ".join(f"{count} {what}" for what, count in done.items()), err=True)


def _network(run: str, form: str, output: Path | None, epoch: int | None, *, trust: bool, force: bool) -> None:
    """Write the trained network of one run."""
    if output is not None and not str(output).endswith(_SUFFIXES.get(form, "")):
        raise bad_value("--output", str(output), f"a file name that ends in {_SUFFIXES[form]}")

    from hpcnn.train.export import check_packages, check_target, export
    from hpcnn.train.trained import open_trained

    if output is not None:
        check_target(output, force=force)
    check_packages(form)
    trained = open_trained(run, epoch, precision="float32", trust=trust)
    if output is None:
        output = trained.run.exported(trained.epoch, form)
        output.parent.mkdir(exist_ok=True)
        check_target(output, force=force)
    done = export(trained, form, output)
    say(str(done.file))
    click.echo(
        f"inputs: {done.inputs}; outputs of a sample: {done.outputs}; for {done.samples} test samples they differ from "
        f"those of {trained.what} by {done.difference:.2g} at most",
        err=True,
    )
