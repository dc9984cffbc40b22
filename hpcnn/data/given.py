"""Make a data set of what a user's function returned: pairs or triples of arrays, and nothing that merely looks so.

A ``tf.data.Dataset`` of two batches would unpack like (train, test) too, so types are looked at first. Must not import
TensorFlow or Keras.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from hpcnn.data.dataset import DataSet
from hpcnn.data.stream.given import is_pair, pairs_of, source_of
from hpcnn.data.stream.opened import NO_OPTIONS, Options, assembled_set
from hpcnn.data.structure import named_leaves
from hpcnn.util.errors import UsageError

_EXPECTED = "(x_train, y_train), (x_test, y_test), each pair with the weights of its samples after it if they have any"
_OWN_LOOP = "or keep it, and call fit() in a script of your own with hpcnn.init(): docs/own-script.md"


def data_set_of(name: str, given: Any, options: Options = NO_OPTIONS) -> DataSet:
    """Return the data set that the function ``name`` returned: a DataSet, two pairs or triples, or two sources.

    Raises UsageError, saying what to do instead, for batches in any other form: hpcnn makes the batches itself.
    """
    if isinstance(given, DataSet):
        if options.ignore_label is None or given.ignore_label == options.ignore_label:
            return given.without_doubt()
        return dataclasses.replace(given, ignore_label=options.ignore_label, classes=0).without_doubt()
    if isinstance(given, (tuple, list)) and len(given) == 2:
        train = source_of(name, given[0])
        test = source_of(name, given[1]) if train or is_pair(given[0]) else None
        if train and test is None and is_pair(given[1]):
            test = pairs_of(name, given[1])
        if test and train is None:
            train = pairs_of(name, given[0])
        if train and test:
            return assembled_set(name, train, test, {"classes": None}, options, source=name)
    _refuse_batches(name, "", given)
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise UsageError(f"--data: {name} returned {_what(given)}; expected {_EXPECTED}, or an hpcnn DataSet.")
    parts = []
    for part, of in zip(given, ("training", "test"), strict=True):
        _refuse_batches(name, f" as its {of} part", part)
        if not isinstance(part, (tuple, list)) or len(part) not in (2, 3):
            raise UsageError(f"--data: {name} returned {_what(part)} as its {of} part; expected {_EXPECTED}.")
        for key, value in zip(("x", "y", "the weights"), part, strict=False):
            for _, leaf in named_leaves(value, key):
                _refuse_batches(name, f" as {key} of its {of} part", leaf)
        parts.append((*part, None)[:3])
    (x_train, y_train, train_weights), (x_test, y_test, test_weights) = parts
    return DataSet(
        name,
        x_train,
        y_train,
        x_test,
        y_test,
        source=name,
        train_weights=train_weights,
        test_weights=test_weights,
        ignore_label=options.ignore_label,
    ).without_doubt()


def _refuse_batches(name: str, where: str, given: Any) -> None:
    """Raise UsageError for what yields batches instead of being arrays."""
    kind = _batches(given)
    if kind is not None:
        instead, advice = kind
        raise UsageError(
            f"--data: {name} returned {instead}{where}; expected {_EXPECTED}. hpcnn makes the batches itself, so that "
            f"any number of ranks sees the same ones: {advice}; {_OWN_LOOP}."
        )


def _batches(given: Any) -> tuple[str, str] | None:
    """Return what a value is that yields batches, and how to make arrays of it; None for any other value."""
    classes = {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(given).__mro__}
    if any(root == "tensorflow" and word in ("Dataset", "DatasetV2") for root, word in classes):
        return (
            "a tf.data.Dataset",
            "return two datasets of samples, (training, test); or arrays: x, y = map(np.stack, "
            "zip(*dataset.unbatch().as_numpy_iterator())), without unbatch() if it has no batches",
        )
    if any(root == "keras" and word in ("PyDataset", "Sequence") for root, word in classes):
        return (
            "a keras.utils.PyDataset",
            "return two of them, (training, test); or arrays: x, y = map(np.concatenate, "
            "zip(*(dataset[i] for i in range(len(dataset)))))",
        )
    if any(root == "torch" and word in ("DataLoader", "Dataset") for root, word in classes):
        return (
            f"a {type(given).__name__} of PyTorch",
            "return arrays, np.stack of its samples; or, of a Dataset with numbers, an object with len and "
            "read(indices): x, y = zip(*(dataset[i] for i in indices)); return np.stack(x), np.array(y)",
        )
    if isinstance(given, Iterator):
        return f"a {type(given).__name__}", "return arrays: np.concatenate of the batches that it yields"
    return None


def _what(given: Any) -> str:
    by_number = callable(getattr(given, "__getitem__", None)) and hasattr(given, "__len__")
    if by_number and not hasattr(given, "shape") and not isinstance(given, (tuple, list, dict, str)):
        return (
            f"a {type(given).__name__} without read(indices), which returns (x, y): with x, y = zip(*(self[i] for i in "
            "indices)), np.stack(x), np.array(y)"
        )
    length = f" of {len(given)}" if isinstance(given, (tuple, list, dict)) else ""
    return f"{type(given).__name__}{length}"
