"""``hpcnn plot``: draw pictures of runs, one command per kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcnn.cli.grouped import GroupedCommand, WholeSentences
from hpcnn.cli.options import Command, given_options, option_name, spec_from_options, spec_options, trust_option
from hpcnn.cli.output import say
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import bad_value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpcnn.rundir.layout import RunDir
    from hpcnn.train.trained import Trained
    from hpcnn.util.types import Array

_FORMATS = (".png", ".svg", ".pdf")


def checked_output(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """Return the path of a picture to write. Raises UsageError, naming the option, for an unknown suffix."""
    if value is None:
        return None
    if Path(value).suffix.lower() not in _FORMATS:
        raise bad_value(parameter.opts[0], value, f"a file name that ends in {', '.join(_FORMATS)}")
    return Path(value)


output_option = click.option(
    "--output",
    metavar="FILE",
    callback=checked_output,
    help="Picture to write: its suffix, .png, .svg or .pdf, is its format.  [default: RUN/plots/KIND.png]",
)
epoch_option = click.option(
    "--epoch", type=click.IntRange(min=1), metavar="N", help="Network after this epoch.  [default: the last one kept]"
)
layer_option = click.option("--layer", metavar="NAME", help="Layer, as `hpcnn models show` names it.")


def count_option(default: int, what: str) -> Callable[[Command], Command]:
    """Return the option ``--count``, the number of things to show."""
    return click.option("--count", type=click.IntRange(min=1), default=default, show_default=True, help=what)


class _InOrder(WholeSentences):
    """A group that lists its commands in the order of this file, which is that of the work."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, epilog="Example:  hpcnn plot digits runs/first --output mistakes.pdf")
def command() -> None:
    """Draw a picture of a run, and print the name of its file.

    All kinds but curves, layers and augmentation need the trained network: train with --checkpoint.
    """


@command.command("curves", epilog="Example:  hpcnn plot curves runs/first runs/unit --output compared.svg")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@output_option
def curves(runs: tuple[str, ...], output: Path | None) -> None:
    """Accuracy and loss over the epochs, training and test.

    Each RUN is a run directory, or a folder that holds some (a study): all of them are drawn in one picture, which by
    default is kept beside the first.
    """
    check_matplotlib()

    from hpcnn.analysis.load import find_runs
    from hpcnn.figures.networks import curves as kind
    from hpcnn.rundir.layout import RunDir

    paths = find_runs(*runs)
    _write(kind.draw(paths), output, RunDir(paths[0] if len(runs) == 1 and len(paths) == 1 else runs[0]), "curves")


@command.command("digits", epilog="Example:  hpcnn plot digits runs/first --count 100")
@click.argument("run", metavar="RUN")
@count_option(50, "How many images.")
@epoch_option
@trust_option
@output_option
def digits(run: str, count: int, epoch: int | None, trust: bool, output: Path | None) -> None:
    """Test images with predicted labels, the mistakes first."""
    trained = _open(run, epoch, trust=trust)

    from hpcnn.figures.networks import digits as kind

    _write(kind.draw(trained, count=count), output, trained.run, "digits")


@command.command("confusion", epilog="Example:  hpcnn plot confusion runs/first")
@click.argument("run", metavar="RUN")
@epoch_option
@trust_option
@output_option
def confusion(run: str, epoch: int | None, trust: bool, output: Path | None) -> None:
    """Confusion matrix: counts, and the recall of each class."""
    trained = _open(run, epoch, trust=trust)

    from hpcnn.figures.networks import confusion as kind

    _write(kind.draw(trained), output, trained.run, "confusion")


@command.command("segmentation", epilog="Example:  hpcnn plot segmentation runs/maps --count 6")
@click.argument("run", metavar="RUN")
@count_option(4, "How many test samples.")
@click.option("--channel", type=click.IntRange(min=0), metavar="N", help="Channel of the images to show, from 0.")
@epoch_option
@trust_option
@output_option
def segmentation(
    run: str, count: int, channel: int | None, epoch: int | None, trust: bool, output: Path | None
) -> None:
    """Maps: images, right and predicted classes of their pixels, and the IoU of each class."""
    trained = _open(run, epoch, trust=trust)

    from hpcnn.figures.networks import segmentation as kind

    _write(kind.draw(trained, count=count, channel=channel), output, trained.run, "segmentation")


@command.command("filters", epilog="Example:  hpcnn plot filters runs/first --epoch 1")
@click.argument("run", metavar="RUN")
@count_option(50, "How many filters.")
@epoch_option
@trust_option
@output_option
def filters(run: str, count: int, epoch: int | None, trust: bool, output: Path | None) -> None:
    """Filters of the first layer, or its neurons as images."""
    trained = _open(run, epoch, trust=trust)

    from hpcnn.figures.networks import filters as kind

    _write(kind.draw(trained, count=count), output, trained.run, "filters")


@command.command("features", epilog="Example:  hpcnn plot features runs/first --image 7 --layer conv2d_1")
@click.argument("run", metavar="RUN")
@click.option(
    "--image",
    default="0",
    show_default=True,
    metavar="N|FILE",
    help="Number of a test image, from 0, or a file as of `hpcnn predict-images`.",
)
@layer_option
@epoch_option
@trust_option
@output_option
def features(run: str, image: str, layer: str | None, epoch: int | None, trust: bool, output: Path | None) -> None:
    """Feature maps: what the layers make of one image.

    Shows the first 8 maps of the convolutions and pools, or all maps of one --layer.
    """
    trained = _open(run, epoch, trust=trust)

    from hpcnn.figures.networks import features as kind

    pixels, name = _image(trained, image)
    _write(kind.draw(trained, pixels, name, layer=layer), output, trained.run, "features")


@command.command("patches", epilog="Example:  hpcnn plot patches runs/first --layer conv2d_1")
@click.argument("run", metavar="RUN")
@layer_option
@count_option(16, "How many filters.")
@epoch_option
@trust_option
@output_option
def patches(run: str, layer: str | None, count: int, epoch: int | None, trust: bool, output: Path | None) -> None:
    """Patches of images that excite each filter most.

    Without --layer, of the last convolution.
    """
    trained = _open(run, epoch, trust=trust)

    from hpcnn.figures.networks import patches as kind

    _write(kind.draw(trained, layer=layer, count=count), output, trained.run, "patches")


@command.command(
    "augmentation",
    cls=GroupedCommand,
    epilog="Example:  hpcnn plot augmentation --data digits --augment rotation=15 --augment noise=0.1",
)
@click.argument("run", metavar="[RUN]", required=False)
@spec_options(TrainSpec, only=("model", "data", "augment", "seed"))
@count_option(4, "How many images.")
@trust_option
@output_option
def augmentation(run: str | None, count: int, trust: bool, output: Path | None, **options: object) -> None:
    """Training images, and what they were changed to in the first 8 epochs.

    Of a RUN, or of a data set before a training: of --model and --augment, as of `hpcnn train`; that picture is kept in
    this folder. Needs no trained network.
    """
    given = given_options(TrainSpec, options)
    if run and given:
        raise bad_value(
            option_name(next(iter(given))), next(iter(given.values())), "no value with RUN, which has its own"
        )
    check_matplotlib()

    from hpcnn.figures.networks import augmented as kind
    from hpcnn.rundir.layout import RunDir
    from hpcnn.specs.complete import complete
    from hpcnn.train.trained import spec_of

    directory = RunDir(run or ".")
    spec = spec_of(directory, trust=trust) if run else complete(spec_from_options(TrainSpec, given))
    name = f"{directory.path.name}: " if run else ""
    _write(
        kind.draw(spec, name, count=count),
        output or (None if run else Path("augmentation.png")),
        directory,
        "augmentation",
    )


@command.command("layers", epilog="Example:  hpcnn plot layers psc-cnn-dropout --output network.svg")
@click.argument("run", metavar="RUN|MODEL")
@trust_option
@output_option
def layers(run: str, trust: bool, output: Path | None) -> None:
    """Diagram of the layers: shapes and parameter shares.

    Of a run, or of a model by its name, as `hpcnn models show` takes it; that picture is kept in this folder. Needs no
    trained network.
    """
    check_matplotlib()

    from hpcnn.figures.networks import layers as kind
    from hpcnn.rundir.layout import RunDir
    from hpcnn.train.trained import new_network

    model, name = new_network(run, trust=trust)
    directory = RunDir(run)
    if not directory.path.is_dir():
        output = output or Path(f"{run.replace(':', '.')}-layers.png")
    _write(kind.draw(model, name), output, directory, "layers")


@command.command("decision-boundary", epilog="Example:  hpcnn plot decision-boundary runs/blobs")
@click.argument("run", metavar="RUN")
@epoch_option
@trust_option
@output_option
def decision_boundary(run: str, epoch: int | None, trust: bool, output: Path | None) -> None:
    """Areas of the classes, for points in the plane."""
    check_matplotlib()

    from hpcnn.figures.networks import boundary as kind
    from hpcnn.rundir.layout import RunDir

    _write(kind.draw(run, epoch=epoch, trust=trust), output, RunDir(run), "decision-boundary")


def check_matplotlib() -> None:
    """Raise HpcnnError, which says how to install it, if matplotlib is missing, before the slow imports."""
    from hpcnn.util.extras import optional_module

    optional_module("matplotlib", "hpcnn plot", "report")


def _open(run: str, epoch: int | None, *, trust: bool) -> Trained:
    check_matplotlib()

    from hpcnn.train.trained import open_trained

    return open_trained(run, epoch, trust=trust)


def _image(trained: Trained, image: str) -> tuple[Array, str]:
    """Return the image that ``--image`` names, in the data's form, and its title."""
    tests = trained.data.x_test
    if image.isdecimal():
        if int(image) >= len(tests):
            raise bad_value("--image", image, f"0 to {len(tests) - 1}, or a file")
        return tests[int(image)], f"test image {image}, a {int(trained.data.y_test[int(image)])}"

    from hpcnn.data.pictures import read_pictures

    return read_pictures([image], trained.data)[0], Path(image).name


def _write(figure: Figure, output: Path | None, run: RunDir, kind: str) -> None:
    """Write a figure to ``output``, or into the run directory, and print the file's name."""
    from hpcnn.figures.style import save

    file = output or run.plots / f"{kind}.png"
    save(figure, file)
    say(str(file))
