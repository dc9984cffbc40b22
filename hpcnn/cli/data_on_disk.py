"""``hpcnn data check`` and ``hpcnn data convert``: read all of a data set, and write it in another form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hpcnn.cli.output import format_option
from hpcnn.util.table import Column, console, emit

if TYPE_CHECKING:
    from rich.progress import TaskID

# Bad samples that are named.
_NAMED = 20
_ANY_NUMBER = 2**31


@click.command("check", epilog="Example:  hpcnn data check images:photographs --image-size 64")
@click.argument("name")
@click.option("--data-arg", "pairs", multiple=True, metavar="KEY=VALUE", help="An option of the data set.")
@click.option("--image-size", metavar="HxW", help="Height and width to which the pictures of images:DIR are scaled.")
@click.option("--ignore-label", type=int, metavar="N", help="Label of pixels that count for nothing, in maps.")
@format_option
def check_command(
    name: str, pairs: tuple[str, ...], image_size: str | None, ignore_label: int | None, fmt: str
) -> None:
    """Read every sample of data set NAME and name those that are bad: cut off, missing, not a number.

    A training looks at each sample when it reads it; this looks at all of them before. It ends with status 1 where one
    is bad. Bad samples are replaced in the counts, as `hpcnn train --skip-bad` replaces them.
    """
    from hpcnn.cli.options import key_values
    from hpcnn.data.registry import load
    from hpcnn.data.stream.check import check
    from hpcnn.data.stream.opened import Options
    from hpcnn.data.stream.sizes import image_size as size_of
    from hpcnn.util.errors import HpcnnError

    options = Options(size_of(image_size), _ANY_NUMBER, ignore_label)
    data = load(name, arguments=key_values("--data-arg", pairs), options=options)
    with Bar() as bar:
        checked = check(data, bar.show)
    rows = [
        {
            "part": part.part,
            "samples": part.samples,
            "min": part.low,
            "max": part.high,
            "class_counts": None if part.counts is None else part.counts.tolist(),
            "seconds": part.seconds,
            "samples_per_second": part.samples / part.seconds if part.seconds else None,
            "bad": len(part.bad),
            "remarks": part.remarks,
            "bad_samples": [{"number": number, "reason": reason} for number, reason in sorted(part.bad.items())],
        }
        for part in checked
    ]
    columns = [
        Column("part", "part"),
        Column("samples", "samples", "{:,}".format, right=True),
        Column("min", "min", "{:g}".format, right=True),
        Column("max", "max", "{:g}".format, right=True),
        Column("seconds", "seconds", "{:.2f}".format, right=True),
        Column("samples_per_second", "samples/s", "{:,.0f}".format, right=True),
        Column("bad", "bad", right=True),
    ]
    emit(rows, fmt, columns)
    for line in [
        f"{part.part}: {count:,} of {part.samples:,} pictures {words}"
        for part in checked
        for words, count in part.remarks.items()
    ]:
        console(stderr=True).print(line, markup=False, soft_wrap=True)
    bad = [f"  {part.part} {number}: {reason}" for part in checked for number, reason in sorted(part.bad.items())]
    if bad:
        more = [f"  and {len(bad) - _NAMED} more (--format json has all)"] if len(bad) > _NAMED else []
        listed = "\n".join([*bad[:_NAMED], *more])
        raise HpcnnError(f"data check: {len(bad)} bad sample{'s' if len(bad) > 1 else ''} in {name}:\n{listed}")


@click.command("convert", epilog="Example:  hpcnn data convert digits h5:digits.h5 --chunk 64")
@click.argument("source")
@click.argument("destination")
@click.option(
    "--chunk", type=click.IntRange(1), default=256, show_default=True, help="Samples in a chunk of the files."
)
@click.option("--data-arg", "pairs", multiple=True, metavar="KEY=VALUE", help="An option of the data set SOURCE.")
@click.option("--image-size", metavar="HxW", help="Height and width to which the pictures of images:DIR are scaled.")
@click.option("--ignore-label", type=int, metavar="N", help="Label of pixels that count for nothing, in maps.")
@click.option("--samples", type=int, help="Only the first so many training samples.")
@click.option("--test-samples", type=int, help="Only the first so many test samples.")
@click.option("--force", is_flag=True, help="Write it anew if there is something already.")
def convert_command(
    source: str,
    destination: str,
    chunk: int,
    pairs: tuple[str, ...],
    image_size: str | None,
    ignore_label: int | None,
    samples: int | None,
    test_samples: int | None,
    force: bool,
) -> None:
    """Write data set SOURCE as DESTINATION: npy:DIR, h5:FILE, zarr:DIR, tfrecord:DIR, parquet:DIR or images:DIR.

    SOURCE is whatever `hpcnn train --data` takes. DESTINATION is its name for a training afterwards. The same command
    goes on where it was stopped.
    """
    from hpcnn.cli.options import key_values
    from hpcnn.data.registry import load
    from hpcnn.data.stream.convert import check_kind_stays, convert
    from hpcnn.data.stream.opened import Options
    from hpcnn.data.stream.sizes import image_size as size_of

    arguments = key_values("--data-arg", pairs)
    options = Options(size_of(image_size), ignore_label=ignore_label)
    data = load(source, arguments=arguments, samples=samples, test_samples=test_samples, options=options)
    check_kind_stays(data)
    with Bar() as bar:
        path = convert(data, destination, chunk, bar.show, force=force)
    form = destination.partition(":")[0]
    console(stderr=True).print(
        f"wrote {data.samples:,} + {data.test_samples:,} samples to {path}; train on it: --data {form}:{path}",
        markup=False,
        soft_wrap=True,
    )


class Bar:
    """A bar for each part, on standard error where that is a terminal."""

    def __enter__(self) -> Bar:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        own = console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=own, disable=not own.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def show(self, part: str, done: int, count: int) -> None:
        """Show that so many samples of a part are done."""
        if part not in self._tasks:
            self._tasks[part] = self._bar.add_task(part, total=count)
        self._bar.update(self._tasks[part], completed=done)
