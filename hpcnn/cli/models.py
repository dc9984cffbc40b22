"""``hpcnn models``: list the networks of the lectures, and show the layers of one.

The list reads recipes only, without importing Keras; ``show`` builds the model.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import click

from hpcnn.cli.grouped import WholeSentences
from hpcnn.cli.output import format_option
from hpcnn.models.summary import shape_text
from hpcnn.util.errors import bad_value
from hpcnn.util.table import Column, emit, width

if TYPE_CHECKING:
    from hpcnn.zoo.recipe import Recipe


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


LIST_COLUMNS = (
    Column("id", "Model"),
    Column("source", "Lecture", wide=True),
    Column("input_shape", "Input", shape_text, right=True),
    Column("parameters", "Parameters", "{:,}".format, right=True),
    Column("optimizer", "Optimizer", wide=True),
    Column("batch_size", "Batch", right=True),
    Column("epochs", "Epochs", right=True),
    Column("test_accuracy", "Reported test accuracy", _percent, right=True),
)

LAYER_COLUMNS = (
    Column("name", "Layer"),
    Column("type", "Type"),
    Column("output_shape", "Output", shape_text, right=True),
    Column("parameters", "Parameters", "{:,}".format, right=True),
    Column("share_percent", "Share", "{:.1f} %".format, right=True),
)


@click.group(
    cls=WholeSentences, invoke_without_command=True, epilog="Example:  hpcnn models;  hpcnn models show psc-cnn-dropout"
)
@format_option
@click.pass_context
def command(ctx: click.Context, fmt: str) -> None:
    """List the networks of the lectures, or show the layers of one."""
    # `hpcnn models --format json list` means what `hpcnn models list --format json` means.
    ctx.default_map = {name: {"fmt": fmt} for name in command.commands}
    if ctx.invoked_subcommand is None:
        _print_list(fmt)


@command.command("list", epilog="Example:  hpcnn models list --format csv > zoo.csv")
@format_option
def list_models(fmt: str) -> None:
    """List the networks of the lectures with how they were trained."""
    _print_list(fmt)


@command.command(
    "show",
    epilog="\b\nExample:\n  hpcnn models show psc-cnn1 --input-shape 32,32,3 --model-arg numfm=8\n"
    "  hpcnn models show my_net:build --model-arg width=16\n"
    "  hpcnn models show keras.applications:MobileNetV3Small --input-shape 32,32,3 --classes 10",
)
@click.argument("model", metavar="MODEL")
@click.option("--input-shape", metavar="N,N,...", help="Shape of one sample instead of the lecture's.")
@click.option("--classes", type=click.IntRange(min=1), help="Number of classes instead of the lecture's.")
@click.option("--model-arg", "pairs", multiple=True, metavar="KEY=VALUE", help="A keyword of the model function.")
@format_option
def show(model: str, input_shape: str | None, classes: int | None, pairs: tuple[str, ...], fmt: str) -> None:
    """Show the layers of MODEL: an id of the list, package.module:function of your own, or keras.applications:NAME."""
    from hpcnn.cli.options import key_values
    from hpcnn.models.registry import build, build_numpy
    from hpcnn.models.summary import layer_rows, numpy_rows
    from hpcnn.util.tf_import import without_startup_messages
    from hpcnn.zoo.registry import RECIPES, in_numpy

    shape = None if input_shape is None else _parse_shape(input_shape)
    arguments = key_values("--model-arg", pairs)
    if in_numpy(model):
        network_in_numpy = build_numpy(model, input_shape=shape, classes=classes, arguments=arguments)
        rows, total, trainable = numpy_rows(network_in_numpy), network_in_numpy.parameters, network_in_numpy.parameters
    else:
        with without_startup_messages():
            network = build(model, input_shape=shape, classes=classes, arguments=arguments)
        rows, total = layer_rows(network), network.count_params()
        trainable = sum(variable.shape.num_elements() for variable in network.trainable_variables)
    entry = RECIPES.get(model)
    if fmt == "table" and entry is not None:
        click.echo(_facts(entry))
    emit(rows, fmt, LAYER_COLUMNS)
    if fmt == "table":
        click.echo(f"{total:,} parameters, {trainable:,} of them trainable.")


def _print_list(fmt: str) -> None:
    from hpcnn.zoo.registry import RECIPES

    rows = [recipe.as_dict() for recipe in RECIPES.values()]
    if fmt == "table":
        for row, recipe in zip(rows, RECIPES.values(), strict=True):
            row["optimizer"] = _optimizer(recipe)
            row["test_accuracy"] = recipe.reported.get("test_accuracy")
    emit(rows, fmt, LIST_COLUMNS)


def _optimizer(recipe: Recipe) -> str:
    momentum = f", momentum {recipe.momentum}" if recipe.momentum else ""
    return f"{recipe.optimizer} {recipe.learning_rate}{momentum}"


def _facts(recipe: Recipe) -> str:
    """Format a recipe for people: one fact per line, then the known slips."""
    from hpcnn.zoo.catalogue import describe

    samples = "all" if recipe.samples is None else f"the first {recipe.samples:,}"
    test_samples = "all" if recipe.test_samples is None else f"the first {recipe.test_samples:,}"
    pixels = {"raw": "pixels 0..255", "unit": "pixels 0..1"}[recipe.pixel_scale]
    if len(describe(recipe.data).shape) == 1 or describe(recipe.data).computed:
        pixels = "numbers as they are"
    reported = "; ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in recipe.reported.items())
    arguments = ", ".join(f"{key}={value}" for key, value in recipe.arguments.items())
    loss = recipe.loss or "a loss for each output"
    facts = {
        "lecture": recipe.source,
        "factory": f"{recipe.factory} ({arguments})",
        "data": f"{recipe.data}: {samples} for training, {test_samples} for testing; {pixels}",
        "training": f"{_optimizer(recipe)}; {loss}; batch {recipe.batch_size}; {recipe.epochs} epochs",
        "schedule": "; ".join(f"x {share:g} after {epoch} epochs" for epoch, share in recipe.lr_drops.items()),
        "augment": ", ".join(f"{key}={_short(value)}" for key, value in recipe.augment.items()),
        "reported": reported or "nothing",
    }
    columns = min(width(), 100)
    lines = [textwrap.fill(f"{recipe.id}: {recipe.title}", columns), ""]
    lines += [
        textwrap.fill(f"  {label:<10}{fact}", columns, subsequent_indent=" " * 12, break_on_hyphens=False)
        for label, fact in facts.items()
        if fact
    ]
    lines += ["", "  Known slips, and what is not from the lecture:"]
    lines += [textwrap.fill(slip, columns, initial_indent="  - ", subsequent_indent="    ") for slip in recipe.slips]
    return "\n".join(lines) + "\n"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _parse_shape(text: str) -> tuple[int, ...]:
    sizes = re.split(r"[,x]", text)
    if not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise bad_value("--input-shape", text, "positive sizes such as 784 or 28,28,1")
    return tuple(int(size) for size in sizes)
