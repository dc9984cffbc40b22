"""``hpcnn data``: list, inspect and stage data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcnn.cli.data_on_disk import check_command, convert_command
from hpcnn.cli.grouped import WholeSentences
from hpcnn.cli.output import format_option, say
from hpcnn.util.table import Column, console, emit
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from hpcnn.data.dataset import DataSet
    from hpcnn.util.types import Array

# More class counts than this are shown as a range.
_SHOWN_COUNTS = 10


@click.group(cls=WholeSentences, epilog="Example:  hpcnn data stage mnist")
def command() -> None:
    """List, inspect, check, convert and stage data sets.

    Data on disk, which a training reads a slice at a time: npy:DIR or npy:X.npy,Y.npy; h5:FILES, zarr:DIR,
    tfrecord:FILES and parquet:FILES, with #x,y for the names of features and labels; images:DIR, a folder a class.
    FILES are paths or patterns, separated by commas. Training and test samples stand apart (x_train, y_train, x_test,
    y_test; train/ and test/; or the test files after ::), or every fifth sample, by chance, is for the test.
    """


command.add_command(check_command)
command.add_command(convert_command)


@command.command("list", epilog="Example:  hpcnn data list --format json")
@format_option
def list_command(fmt: str) -> None:
    """List the data sets known by name, which are staged on this machine, and the network each is for by default.

    Wherever a name goes, a path ending in .npz, data on disk (see `hpcnn data`) or package.module:function also works.
    """
    from hpcnn.zoo.catalogue import data_folder, describe, known, staged_file

    rows: list[dict[str, Json]] = []
    for entry in map(describe, known()):
        file = None if entry.built_in else staged_file(entry.name)
        staged = "built in" if file is None else "yes" if file.exists() else "no"
        rows.append(
            {
                "name": entry.name,
                "train": entry.train,
                "test": entry.test,
                "shape": list(entry.shape),
                "classes": entry.classes or None,
                "staged": staged,
                "file": str(file) if staged == "yes" else None,
                "model": entry.model,
                "options": dict(entry.options),
                "description": entry.description,
            }
        )
    columns = [
        Column("name", "name"),
        Column("train", "train", "{:,}".format, right=True),
        Column("test", "test", "{:,}".format, right=True),
        Column("shape", "shape", _shape),
        Column("classes", "classes", right=True, wide=True),
        Column("staged", "staged"),
        Column("model", "network", wide=True),
        Column("description", "what"),
    ]
    emit(rows, fmt, columns, title=f"Staged files are looked for in {data_folder()} (HPCNN_DATA)")


@command.command("info", epilog="Example:  hpcnn data info mnist --samples 500")
@click.argument("name")
@click.option("--data-arg", "pairs", multiple=True, metavar="KEY=VALUE", help="An option of the data set.")
@click.option("--samples", type=int, help="Only the first so many training samples, or the set expanded to so many.")
@click.option("--image-size", metavar="HxW", help="Height and width to which the pictures of images:DIR are scaled.")
@click.option("--ignore-label", type=int, metavar="N", help="Label of pixels that count for nothing, in maps.")
@format_option
def info_command(
    name: str,
    pairs: tuple[str, ...],
    samples: int | None,
    image_size: str | None,
    ignore_label: int | None,
    fmt: str,
) -> None:
    """Show what is in data set NAME. For data on disk, the smallest and largest values are those of some samples.

    NAME is a known name, a path ending in .npz, data on disk (see `hpcnn data`), or package.module:function.
    """
    from hpcnn.cli.options import key_values
    from hpcnn.data.registry import file_of, load
    from hpcnn.data.stream.opened import Options
    from hpcnn.data.stream.sizes import image_size as size_of
    from hpcnn.data.stream.streamed import Column as OnDisk
    from hpcnn.data.structure import named_leaves
    from hpcnn.util.files import file_sha256

    options = Options(size_of(image_size), ignore_label=ignore_label)
    data = load(name, arguments=key_values("--data-arg", pairs), samples=samples, options=options)
    file = file_of(name)
    origin = {
        "source": data.source,
        "file": None if file is None else str(file),
        "sha256": None if file is None else file_sha256(file),
        "notes": list(data.notes),
    }
    rows = []
    for part, x, y in (("train", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
        if isinstance(y, OnDisk) and not data.is_map:
            y = y.all_or_some() if y.ndim < 3 else y.some()
        if data.is_structured:
            arrays = [*named_leaves(x, "x"), *named_leaves(y, "y")]
            rows += [{**_numbers(data, f"{part} {key}", array), **origin} for key, array in arrays]
        else:
            rows.append({**_numbers(data, part, x), **_classes(data, y), **origin})
        weights = data.train_weights if part == "train" else data.test_weights
        if weights is not None:
            rows[-1]["weights"] = [weights.min().item(), weights.max().item()]
    columns = [
        Column("part", "part"),
        Column("samples", "samples", "{:,}".format, right=True),
        Column("shape", "shape", _shape),
        Column("dtype", "type"),
        Column("min", "min", "{:g}".format, right=True),
        Column("max", "max", "{:g}".format, right=True),
        Column("classes", "classes", right=True),
        Column("class_counts", "samples of each class", _counts),
    ]
    if data.multi_label:
        columns[-2:] = [
            Column("labels", "labels a sample", right=True),
            Column("label_counts", "samples with each label", _counts),
        ]
    if data.is_map:
        columns[-1] = Column("class_counts", "pixels of each class", _counts)
    if data.regression:
        columns[-2:] = [Column("targets", "to predict", "{0[0]:g} to {0[1]:g}".format)]
    columns.append(Column("weights", "weights", "{0[0]:g} to {0[1]:g}".format))
    columns = [column for column in columns if column.key != "weights" or any(row.get("weights") for row in rows)]
    if fmt == "table":
        _print_heading(data, origin)
    emit(rows, fmt, columns)


@command.command("stage", epilog="Example:  hpcnn data stage cifar10 --folder /project/shared/hpcnn-data")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to put NAME.npz.  [default: HPCNN_DATA, or hpcnn/data in your data folder]",
)
@click.option("--force", is_flag=True, help="Fetch it again even if it is there.")
@format_option
def stage_command(name: str, folder: Path | None, force: bool, fmt: str) -> None:
    """Fetch data set NAME once, on a machine with internet, for the compute nodes that have none."""
    from hpcnn.data.staging import stage

    messages = console(stderr=True)
    with messages.status(f"staging {name}") as status:
        staged = stage(name, folder, force=force, progress=status.update)
    messages.print(staged.message, markup=False, soft_wrap=True)  # a path is never broken
    row = {
        "name": staged.name,
        "status": staged.status,
        "file": None if staged.file is None else str(staged.file),
        "bytes": None if staged.file is None else staged.file.stat().st_size,
    }
    columns = [
        Column("name", "name"),
        Column("status", "status"),
        Column("bytes", "bytes", "{:,}".format, right=True),
        Column("file", "file"),
    ]
    emit([row], fmt, columns)


def _numbers(data: DataSet, part: str, x: Array) -> dict[str, Json]:
    return {
        "name": data.name,
        "part": part,
        "samples": len(x),
        "shape": list(x.shape[1:]),
        "dtype": str(x.dtype),
        "min": x.min().item(),
        "max": x.max().item(),
    }


def _classes(data: DataSet, y: Array) -> dict[str, Json]:
    """Return the number of samples of each class or with each label; for a regression, the range of the targets."""
    import numpy as np

    if data.regression:
        return {"targets": [y.min().item(), y.max().item()]}
    if data.multi_label:
        return {"labels": y.shape[-1], "label_counts": y.reshape(-1, y.shape[-1]).sum(axis=0, dtype=np.int64).tolist()}
    if data.is_map:
        return {"classes": data.classes, "class_counts": _pixels(data, y).tolist()}
    return {"classes": data.classes, "class_counts": np.bincount(y, minlength=data.classes).tolist()}


def _pixels(data: DataSet, y: Array) -> Array:
    """Return how many pixels each class has."""
    from hpcnn.data.stream.bulk import class_counts, labels_of

    source = labels_of(data.name, y)
    return class_counts(source, 0, len(source), data.classes, data.ignore_label)


def _print_heading(data: DataSet, origin: dict[str, Json]) -> None:
    """Print the facts that both parts share, in unbroken lines that can be copied."""
    say(f"{data.name}: {data.description}" if data.description else data.name)
    for key in ("source", "file", "sha256"):
        if origin[key]:
            say(f"  {key + ':':8}{origin[key]}")
    for note in data.notes:
        say(f"  note:   {note}")


def _shape(shape: list[int]) -> str:
    return "x".join(map(str, shape)) or "number"


def _counts(counts: list[int]) -> str:
    if min(counts) == max(counts):
        return f"{counts[0]} each"
    if len(counts) > _SHOWN_COUNTS:
        return f"{min(counts)} to {max(counts)}"
    return " ".join(map(str, counts))
