"""``hpcnn export``: write the trained network of a run as a file for use elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from hpcnn.cli.options import trust_option
from hpcnn.cli.output import say
from hpcnn.cli.plot import epoch_option
from hpcnn.util.errors import bad_value

_FORMATS = ("keras", "saved-model", "onnx")
_SUFFIXES = {"keras": ".keras", "onnx": ".onnx"}


@click.command(
    epilog="\b\nExample:\n  hpcnn export runs/first --format saved-model\n"
    "  hpcnn export runs/first --format onnx --epoch 2 --output digits.onnx",
)
@click.argument("run", metavar="RUN")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
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
def command(run: str, form: str, output: Path | None, epoch: int | None, trust: bool, force: bool) -> None:
    """Write the trained network of RUN for use elsewhere, and print the name of the file.

    What was written is read again, and must give the outputs of the run's network for some test samples; if not, the
    command ends with status 1 and leaves no file. The network takes what the training fed it: where pixels were
    divided by 255, divide them first. Weights and arithmetic are float32.

    Needs the trained network: train with --checkpoint. The format onnx needs: pip install 'hpcnn[export]'.
    """
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
