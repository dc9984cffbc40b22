"""Weights of classes in the loss: given one by one, or from how often each class is in the training set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hpcnn.data.dataset import DataSet
from hpcnn.data.labels import CLASSES, MAP
from hpcnn.data.stream.bulk import class_counts as counts_of
from hpcnn.data.stream.bulk import labels_of
from hpcnn.data.stream.streamed import StreamedSet
from hpcnn.parallel.base import Strategy
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.files import parse_json, read_bytes
from hpcnn.util.types import Array, Json

RULES = ("sqrt", "balanced", "none")
"""Words of --class-weight that stand alone. sqrt: one over the square root of a class's share of the labels, as in
Kurth et al., "Exascale deep learning for climate analytics" (SC18). balanced: one over its share times
the number of classes, as in scikit-learn."""


def class_weights(given: Mapping[str, Json], data: DataSet, strategy: Strategy) -> Array | None:
    """Return the weight of each class, float32 (classes,), 1 where none is given; None where none is given at all.

    What the loss of a sample, or of a pixel, is multiplied by. The mean stays one over the samples or pixels of the
    global batch, as in Keras's ``fit(class_weight=...)``: it is not divided by the sum of the weights. The same on all
    ranks, which count a share each of labels on disk.

    Raises UsageError for data without classes, a class there is not, and what is no weight.
    """
    words = [key for key, value in given.items() if value is True]
    if not given or words == ["none"] == list(given):
        return None
    if data.kind not in (CLASSES, MAP):
        raise bad_value("--class-weight", _text(given), f"no value with data set {data.name!r}, which has {data.what}")
    if not words:
        return _one_by_one(given, data)
    if len(given) > 1:
        raise bad_value("--class-weight", _text(given), f"{', '.join(RULES)} or a file alone, or CLASS=WEIGHT")
    word = words[0]
    if word not in RULES:
        return _of_file(word, data)
    counts = class_counts(data, strategy)
    there = counts > 0
    share = counts[there] / counts.sum()
    weights = np.ones(data.classes, np.float64)
    weights[there] = 1 / np.sqrt(share) if word == "sqrt" else 1 / (share * data.classes)
    return weights.astype(np.float32)


def class_counts(data: DataSet, strategy: Strategy) -> Array:
    """Return how many training samples, or pixels of them, each class has. All ranks call it."""
    source = labels_of(data.name, data.y_train)
    if not isinstance(data, StreamedSet):
        return counts_of(source, 0, len(source), data.classes, data.ignore_label)
    if source.sequential:  # which all ranks begin equally often, or their orders would differ afterwards
        return counts_of(source, 0, len(source), data.classes, data.ignore_label)
    first, last = (rank * len(source) // strategy.processes for rank in (strategy.rank, strategy.rank + 1))
    own = counts_of(source, first, last, data.classes, data.ignore_label)
    return strategy.reduce_metrics(own.astype(np.float64))


def _one_by_one(given: Mapping[str, Json], data: DataSet) -> Array:
    weights = np.ones(data.classes, np.float32)
    for key, weight in given.items():
        if not key.isdecimal() or int(key) >= data.classes:
            raise bad_value("--class-weight", _text(given), f"class numbers from 0 to {data.classes - 1}")
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < float("inf"):
            raise bad_value("--class-weight", f"{key}={weight}", "a weight of at least 0")
        weights[int(key)] = weight
    return weights


def _of_file(word: str, data: DataSet) -> Array:
    """Return the weights of a file of JSON: a list with one for each class."""
    path = Path(word).expanduser()
    if not path.is_file():
        raise bad_value(
            "--class-weight", word, f"CLASS=WEIGHT, {', '.join(RULES)}, or a file of JSON with a weight for each class"
        )
    expected = f"a list of JSON with a weight of at least 0 for each of the {data.classes} classes"
    try:
        numbers = parse_json(read_bytes(path).decode())
    except (OSError, ValueError) as error:
        raise UsageError(f"--class-weight: {word} cannot be read: {error}; expected {expected}") from error
    right = isinstance(numbers, list) and len(numbers) == data.classes
    if not right or not all(type(one) in (int, float) and 0 <= one < float("inf") for one in numbers):
        raise bad_value("--class-weight", word, expected)
    return np.array(numbers, np.float32)


def _text(pairs: Mapping[str, Json]) -> str:
    return " ".join(key if value is True else f"{key}={value}" for key, value in pairs.items())
