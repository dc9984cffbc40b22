"""Open data of any form as a data set that stays on disk. Chooses the reader by the form.

``--cache memory`` makes arrays of it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpcnn.data.dataset import DataSet
from hpcnn.data.stream.bulk import read_all
from hpcnn.data.stream.chosen import Split
from hpcnn.data.stream.clean import Clean, LabelForm
from hpcnn.data.stream.npy import open_npy
from hpcnn.data.stream.on_node import OfPart, OnNode, Part
from hpcnn.data.stream.source import Source
from hpcnn.data.stream.streamed import StreamedSet, bad_of, facts_of, kind_on_disk, source_of, streamed_set
from hpcnn.data.stream.tolerant import Tolerant
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.types import Json
from hpcnn.zoo.forms import OPTIONS, check_options, location_of

# Form -> module and function that open a Location.
_READERS = {
    "npy": ("npy", "open_npy"),
    "h5": ("hdf5", "open_hdf5"),
    "images": ("images", "open_images"),
    "zarr": ("zarr_arrays", "open_zarr"),
    "tfrecord": ("tfrecord", "open_tfrecord"),
    "parquet": ("parquet", "open_parquet"),
}


@dataclass(frozen=True)
class Options:
    """How data is read.

    image_size: (height, width) of pictures. skip_bad: bad samples that are allowed. ignore_label: of pixels that count
    for nothing.
    """

    image_size: tuple[int, int] | None = None
    skip_bad: int = 0
    ignore_label: int | None = None


NO_OPTIONS = Options()


def open_set(
    name: str,
    arguments: Mapping[str, Json],
    options: Options,
) -> StreamedSet:
    """Return the data set ``FORM:FILES`` with these options of --data-arg.

    Raises UsageError for files that are missing or no data of the form.
    """
    check_options(dict(arguments))
    values: dict[str, Any] = {**OPTIONS, **arguments}
    location = location_of(name)
    if options.image_size and location.form != "images":
        raise bad_value("--image-size", "x".join(map(str, options.image_size)), f"no value with {location.form}: data")
    module, function = _READERS[location.form]
    reader = getattr(importlib.import_module(f"hpcnn.data.stream.{module}"), function)
    if values["channels"] is not None and location.form != "images":
        raise bad_value("--data-arg channels", values["channels"], f"no value with {location.form}: data")
    pictures = {"size": options.image_size, "seed": values["split_seed"], "channels": values["channels"]}
    train, test = reader(location, **(pictures if location.form == "images" else {}))
    return assembled_set(name, train, test, values, options, source=name.partition(":")[2])


def assembled_set(
    name: str,
    train: Source,
    test: Source | None,
    values: Mapping[str, Any],
    options: Options,
    **facts: Any,
) -> StreamedSet:
    """Return the data set of opened sources: split where there is no test set, cleaned, forgiving."""
    told = (*train.notes, *(test.notes if test else ()))
    notes = [*told]
    if test is None:
        every, seed = max(round(1 / values["test_share"]), 2), values["split_seed"]
        train, test = Split(train, every, seed, test=False), Split(train, every, seed, test=True)
        notes.append(f"{len(train)} + {len(test)} samples: one of {every} is for the test, by seed {seed}")
    kind, one_hot = kind_on_disk(name, Tolerant(train, options.skip_bad), Tolerant(test, options.skip_bad))
    facts |= {"kind": kind, "one_hot": one_hot, "ignore_label": options.ignore_label}
    classes = values["classes"] or (train.y.shape[-1] if one_hot else None)
    form = LabelForm(kind, one_hot, options.ignore_label)
    cleaned = Clean(train, name, form)
    if cleaned.moved:
        notes.append("channels moved from first to last")
    train, test = (Tolerant(part, options.skip_bad) for part in (cleaned, Clean(test, name, form)))
    return streamed_set(name, train, test, classes, notes=tuple(notes), told=told, **facts)


def in_place_of(data: StreamedSet, copy: str, part: Part | None = None) -> StreamedSet:
    """Return a copy of a set's samples as the set itself: with its name, facts, classes and bad samples so far.

    part: the training samples that the copy has; None for all.
    """
    copied = open_npy(location_of(copy))
    form = LabelForm(data.kind, False, data.ignore_label)  # the copy has what was read
    train, test = (Tolerant(Clean(one, data.name, form), 0) for one in copied if one is not None)
    own = source_of(data.x_train), source_of(data.x_test)
    for new, old in zip((train, test), own, strict=True):
        new.bad.update(bad_of(old))
    training = train if part is None else OnNode(own[0], train, part)
    return streamed_set(data.name, training, test, data.classes, **facts_of(data))


def part_of(data: StreamedSet, part: Part) -> StreamedSet:
    """Return a set of which the training samples are those of a part alone."""
    return streamed_set(
        data.name, OfPart(source_of(data.x_train), part), source_of(data.x_test), data.classes, **facts_of(data)
    )


def in_memory(data: StreamedSet) -> DataSet:
    """Return the same set as arrays in memory. Raises UsageError where memory is too small."""
    try:
        train, test = (read_all(column.source) for column in (data.x_train, data.x_test))
    except MemoryError as error:
        raise UsageError(f"--cache: {data.name} does not fit into memory; --cache none reads it as it goes") from error
    return DataSet(
        data.name,
        *train[:2],
        *test[:2],
        classes=data.classes,
        train_weights=train[2],
        test_weights=test[2],
        bad=bad_of(source_of(data.x_train)),
        **facts_of(data),
    )
