"""Load data sets: by name, by the path of an ``.npz`` file, or by ``package.module:function``.

Chooses the reader by the name, and takes the requested part of the set; other modules read and expand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.data import halves, points, sequences, sources, tables
from hpcnn.data.expand import take
from hpcnn.data.generated.opened import open_generated
from hpcnn.data.labels import CLASSES
from hpcnn.data.stream.bulk import labels_in_slices
from hpcnn.data.stream.chosen import First
from hpcnn.data.stream.opened import NO_OPTIONS, Options, in_memory, open_set
from hpcnn.data.stream.sizes import image_size
from hpcnn.data.stream.source import Source
from hpcnn.data.stream.streamed import MANY_LABELS, StreamedSet, facts_of, source_of, streamed_set
from hpcnn.data.structure import Structure, map_structure
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.types import Json
from hpcnn.zoo.catalogue import check_name, describe, file_of, is_computed, known, options_of
from hpcnn.zoo.forms import form_of

if TYPE_CHECKING:
    from hpcnn.data.dataset import DataSet
    from hpcnn.specs.train import TrainSpec
    from hpcnn.util.types import Array

__all__ = ["describe", "file_of", "known", "load", "load_of"]

_READERS: dict[str, Callable[..., DataSet]] = {
    "digits": sources.read_digits,
    "blobs": points.read_blobs,
    "circles": points.read_circles,
    "beach": points.read_beach,
    "imdb": partial(sequences.read_texts, "imdb"),
    "reuters": partial(sequences.read_texts, "reuters"),
    "boston_housing": partial(tables.read_housing, "boston_housing"),
    "california_housing": partial(tables.read_housing, "california_housing"),
}


def load(
    name: str,
    *,
    arguments: Mapping[str, Json] | None = None,
    samples: int | None = None,
    test_samples: int | None = None,
    expand: int = 1,
    seed: int = 1,
    options: Options = NO_OPTIONS,
) -> DataSet:
    """Return data set ``name``: a known name, an ``.npz`` file, files of a form, or ``package.module:function``.

    ``arguments``: options of a known set (``Entry.options``), or keywords of the function.
    ``samples``: the number of training samples; the first ones, or more than the set has, by shifted, turned and noisy
    copies (see ``expand.take``; ``seed`` is for these only). ``test_samples``: the number of test samples, the first
    ones; the test set is never expanded. ``expand``: a factor by which these training samples are expanded in the same
    way (5 is each image and its four shifts). The ``notes`` of the DataSet describe the changes.

    Never downloads anything. Raises UsageError for an unknown name, a file that is not staged, invalid data, and a part
    that would hold only some of the classes because the set is sorted by class.
    """
    if is_computed(name):
        _check_not_expanded(expand)
        return open_generated(name, arguments or {}, samples, test_samples, options)
    data = open_set(name, arguments or {}, options) if form_of(name) else _read(name, arguments or {}, options)
    if isinstance(data, StreamedSet):
        _check_not_expanded(expand)
        return _first_of(data, samples, test_samples)
    count, test_count = data.samples, data.test_samples
    wanted = count if samples is None else samples
    test_wanted = test_count if test_samples is None else test_samples
    if not 1 <= test_wanted <= test_count:
        raise bad_value("--test-samples", test_wanted, f"1 to {test_count} (test samples are never expanded)")
    if expand > 1 and (data.is_structured or data.x_train.ndim != 4):
        raise bad_value("--expand", expand, f"1: the samples of {name!r} are no images")
    if data.is_structured and 1 <= wanted <= count:
        x_train, y_train = _first(data.x_train, wanted), _first(data.y_train, wanted)
    elif data.is_structured:
        raise bad_value("--samples", wanted, f"1 to {count}: a set of several arrays is never expanded")
    else:
        if max(wanted, expand * wanted) > count and data.y_train.ndim > 2:
            raise bad_value(
                "--samples", wanted, f"1 to {count}: labels of pixels are never expanded; --augment changes both"
            )
        x_train, y_train = take(data.x_train, data.y_train, wanted, seed)
    if expand > 1:
        x_train, y_train = take(x_train, y_train, expand * wanted, seed)
    if data.kind == CLASSES and not data.is_structured:
        _check_part(name, "--samples", [data.y_train], count, wanted)
        _check_part(name, "--test-samples", [data.y_test], test_count, test_wanted)
    return dataclasses.replace(
        data,
        x_train=x_train,
        y_train=y_train,
        x_test=_first(data.x_test, test_wanted),
        y_test=_first(data.y_test, test_wanted),
        train_weights=_as_taken(data.train_weights, wanted, expand),
        test_weights=None if data.test_weights is None else data.test_weights[:test_wanted],
        notes=(
            *data.notes,
            *_notes(wanted, count, "training"),
            *_notes(expand * wanted, wanted, "training"),
            *_notes(test_wanted, test_count, "test"),
        ),
    )


def load_of(spec: TrainSpec) -> DataSet:
    """Return the data set that a spec trains and tests on, with its options. Raises UsageError as ``load``."""
    data = load(
        spec.data,
        arguments=spec.data_args,
        samples=spec.samples,
        test_samples=spec.test_samples,
        expand=spec.expand,
        seed=spec.seed,
        options=options_of_spec(spec),
    )
    if isinstance(data, StreamedSet):
        return in_memory(data) if spec.cache == "memory" else data
    for option, value in (("--cache", spec.cache if spec.cache != "memory" else None), ("--skip-bad", spec.skip_bad)):
        if value:
            raise bad_value(option, value, f"no value with {spec.data}, which is read into memory as a whole")
    return data


def _check_not_expanded(expand: int) -> None:
    if expand > 1:
        raise bad_value("--expand", expand, "1: data that is not in memory is never expanded")


def options_of_spec(spec: TrainSpec) -> Options:
    """Return how the data of a spec is read."""
    return Options(image_size(spec.image_size), spec.skip_bad, spec.ignore_label)


def _first_of(data: StreamedSet, samples: int | None, test_samples: int | None) -> StreamedSet:
    """Return the first samples of a set on disk."""
    notes = data.notes
    parts: list[Source] = []
    wanted = (("--samples", samples, data.y_train, "training"), ("--test-samples", test_samples, data.y_test, "test"))
    for option, count, labels, part in wanted:
        source, there = source_of(labels), len(labels)
        if count is not None and not 1 <= count <= there:
            raise bad_value(option, count, f"1 to {there}: data on disk is never expanded")
        if count is not None and count < there:
            if source.cheap_labels and data.kind == CLASSES:
                _check_part(data.name, option, labels_in_slices(source, 0, min(there, MANY_LABELS)), there, count)
            notes = (*notes, *_notes(count, there, part))
            source = First(source, count)
        parts.append(source)
    train, test = parts
    return streamed_set(data.name, train, test, data.classes, **{**facts_of(data), "notes": notes})


def _as_taken(weights: Array | None, wanted: int, expand: int) -> Array | None:
    """Return the weights of training samples that ``expand.take`` took twice: copies weigh what their originals do."""
    if weights is None:
        return None
    places = weights.shape[1:]
    return np.resize(np.resize(weights, (wanted, *places)), (expand * wanted, *places))


def _first(arrays: Structure, count: int) -> Structure:
    return map_structure(lambda array: array[:count], arrays)


def _read(name: str, arguments: Mapping[str, Json], options: Options = NO_OPTIONS) -> DataSet:
    if ":" in name and not name.endswith(".npz"):
        return sources.read_function(name, arguments, options)
    check_name(name)
    if name.endswith(".npz"):
        if arguments:
            raise bad_value("--data-arg", next(iter(arguments)), "no value: a file has no options")
        return sources.read_npz(name, options)
    own = options_of(name, arguments)
    if options.ignore_label is not None:
        raise bad_value("--ignore-label", options.ignore_label, f"no value with {name}, whose labels are no maps")
    if name == "halves":
        halves.check_whole(own["of"])
        return halves.cut(_read(own["of"], {}))
    reader = _READERS.get(name, partial(sources.read_staged, name))
    return reader(**own)


def _check_part(name: str, option: str, labels: Iterable[Array], count: int, wanted: int) -> None:
    """Raise UsageError for the first part of a set sorted by class, which would lack some of the classes.

    labels: of all ``count`` samples, in slices; what comes after the first descent is not read.
    """
    if wanted >= count:
        return
    in_part: set[int] = set()
    in_whole: set[int] = set()
    first, last = 0, -1
    for some in labels:
        if (np.diff(some) < 0).any() or some[0] < last:
            return
        in_part.update(np.unique(some[: max(wanted - first, 0)]).tolist())
        in_whole.update(np.unique(some).tolist())
        first, last = first + len(some), int(some[-1])
    part, whole = len(in_part), len(in_whole)
    if part < whole:
        raise UsageError(
            f"{option}: data set {name!r} is sorted by class, so its first {wanted} samples hold {part} of "
            f"its {whole} classes; shuffle the data, or take all {count} samples."
        )


def _notes(wanted: int, count: int, part: str) -> tuple[str, ...]:
    if wanted < count:
        return (f"the first {wanted} of {count} {part} samples",)
    if wanted > count:
        return (f"{count} {part} samples expanded to {wanted}",)
    return ()
