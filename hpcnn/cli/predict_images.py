"""``hpcnn predict-images``: label image files by a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcnn.cli.choice import Choice
from hpcnn.cli.options import trust_option
from hpcnn.cli.output import format_option
from hpcnn.cli.plot import check_matplotlib, checked_output, epoch_option
from hpcnn.util.table import Column, emit

if TYPE_CHECKING:
    from hpcnn.figures.networks.labelled_images import Answer
    from hpcnn.util.types import Array

# hpcnn.data.pictures.FORMS, repeated here because that module imports NumPy.
_FORMS = ("mnist", "digits", "fashion", "resize")


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _next_labels(answers: list[Answer]) -> str:
    return ", ".join(f"{answer['label']} ({_percent(answer['probability'])})" for answer in answers[1:])


_COLUMNS = (
    Column("file", "File"),
    Column("label", "Label", right=True),
    Column("probability", "Probability", _percent, right=True),
    Column("likeliest", "Next", _next_labels),
)


@click.command(epilog="Example:  hpcnn predict-images runs/first seven.jpg scan*.png --show seen.png")
@click.argument("run", metavar="RUN")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="How many labels of each image.")
@click.option(
    "--form",
    type=Choice(_FORMS),
    help="How a picture becomes an input of the network.  [default: that of the run's data]",
)
@click.option(
    "--show",
    metavar="FILE",
    callback=checked_output,
    help="Also draw what the network saw, as .png, .svg or .pdf.",
)
@epoch_option
@trust_option
@format_option
def command(
    run: str,
    files: tuple[str, ...],
    top: int,
    form: str | None,
    show: Path | None,
    epoch: int | None,
    trust: bool,
    fmt: str,
) -> None:
    """Label image files (PNG, JPEG, ...) with the trained network of RUN.

    A picture of a digit may have any size, be grey or in colour, dark on light or light on dark, with an even or
    slanting light: it is brought to the form of the network's training images first. There must be one digit on it,
    and some of the paper all around. --form mnist does what was done for MNIST, digits for scikit-learn's digits,
    fashion for Fashion-MNIST; resize only resizes, as for photographs in colour.

    Needs the trained network: train with --checkpoint.
    """
    if show is not None:
        check_matplotlib()

    from hpcnn.data.pictures import read_pictures
    from hpcnn.train.trained import open_trained

    trained = open_trained(run, epoch, trust=trust)
    images = read_pictures(files, trained.data, form)
    answers = [_likeliest(probabilities, top) for probabilities in trained.probabilities(images)]
    if show is not None:
        from hpcnn.figures.networks import labelled_images
        from hpcnn.figures.style import save

        save(labelled_images.draw(trained, images, [Path(file).name for file in files], answers), show)
    emit(
        [{"file": file, **answer[0], "likeliest": answer} for file, answer in zip(files, answers, strict=True)],
        fmt,
        _COLUMNS,
    )


def _likeliest(probabilities: Array, top: int) -> list[Answer]:
    """Return the ``top`` labels with the largest probabilities, the largest first."""
    order = (-probabilities).argsort(kind="stable")[:top]
    return [{"label": int(label), "probability": round(float(probabilities[label]), 6)} for label in order]
