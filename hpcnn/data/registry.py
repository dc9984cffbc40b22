"""One way to any data set: by name, by the path of an ``.npz`` file, or by ``package.module:function``.

Decides which reader a name means and which part of the set is wanted; reading and expanding are done
elsewhere.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.data import points, sources
from hpcnn.data.catalogue import check_name, describe, file_of, known
from hpcnn.data.expand import take
from hpcnn.errors import UsageError, bad_value

if TYPE_CHECKING:
    from hpcnn.data.dataset import Array, DataSet

__all__ = ["describe", "file_of", "known", "load"]

_BUILT_IN = {
    "digits": sources.read_digits,
    "blobs": points.read_blobs,
    "circles": points.read_circles,
    "beach": points.read_beach,
}


def load(
    name: str, *, samples: int | None = None, test_samples: int | None = None, expand: int = 1, seed: int = 1
) -> DataSet:
    """Return data set ``name``: a known name, a path ending in ``.npz``, or ``package.module:function``.

    ``samples``: the first so many training samples, or, beyond what there is, the set expanded with shifted,
    turned and noisy copies (see ``expand.take``; ``seed`` is for these alone). ``test_samples``: the first so
    many test samples; the test set is never expanded. ``expand``: these training samples so many times over,
    changed in the same way (5 is each image and its four shifts). What was done is written into the ``notes`` of the
    DataSet.

    Never goes to the internet. Raises UsageError for a name that is not known, a file that is not staged,
    data that is not valid, or a part that would hold only some of the classes because the set is sorted by
    class.
    """
    data = _read(name)
    count, test_count = len(data.x_train), len(data.x_test)
    wanted = count if samples is None else samples
    test_wanted = test_count if test_samples is None else test_samples
    if not 1 <= test_wanted <= test_count:
        raise bad_value("--test-samples", test_wanted, f"1 to {test_count} (test samples are never expanded)")
    if expand > 1 and data.x_train.ndim != 4:
        raise bad_value("--expand", expand, f"1: the samples of {name!r} are no images")
    x_train, y_train = take(data.x_train, data.y_train, wanted, seed)
    if expand > 1:
        x_train, y_train = take(x_train, y_train, expand * wanted, seed)
    _check_part(name, "--samples", data.y_train, wanted)
    _check_part(name, "--test-samples", data.y_test, test_wanted)
    return dataclasses.replace(
        data,
        x_train=x_train,
        y_train=y_train,
        x_test=data.x_test[:test_wanted],
        y_test=data.y_test[:test_wanted],
        notes=(
            *data.notes,
            *_notes(wanted, count, "training"),
            *_notes(expand * wanted, wanted, "training"),
            *_notes(test_wanted, test_count, "test"),
        ),
    )


def _read(name: str) -> DataSet:
    if name.endswith(".npz"):
        return sources.read_npz(name)
    if ":" in name:
        return sources.read_function(name)
    check_name(name)
    return _BUILT_IN[name]() if describe(name).built_in else sources.read_staged(name)


def _check_part(name: str, option: str, labels: Array, wanted: int) -> None:
    """Refuse the first part of a set sorted by class: it looks like a small sample of the set, and is not."""
    if wanted >= len(labels) or (np.diff(labels) < 0).any():
        return
    part, whole = len(np.unique(labels[:wanted])), len(np.unique(labels))
    if part < whole:
        raise UsageError(
            f"{option}: data set {name!r} is sorted by class, so its first {wanted} samples hold {part} of "
            f"its {whole} classes; shuffle the data, or take all {len(labels)} samples."
        )


def _notes(wanted: int, count: int, part: str) -> tuple[str, ...]:
    if wanted < count:
        return (f"the first {wanted} of {count} {part} samples",)
    if wanted > count:
        return (f"{count} {part} samples expanded to {wanted}",)
    return ()
