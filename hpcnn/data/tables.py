"""Read tables for regression: the housing data sets, as ``keras.datasets`` gives them."""

from __future__ import annotations

import numpy as np

from hpcnn.data.dataset import DataSet
from hpcnn.data.sources import part_notes, read_named, staged_path
from hpcnn.data.structure import KEYS
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.types import Array
from hpcnn.zoo.catalogue import describe

# keras.datasets: the seed of the order, and the share of the test set.
_SEED, _TEST_SHARE = 113, 0.2
_DOLLARS = 100_000.0


def read_housing(name: str, *, standardize: bool) -> DataSet:
    """Read ``boston_housing`` or ``california_housing``: x (N, F) float32, y (N,) float32 prices.

    The file has the arrays ``x`` and ``y``, as Keras's own, which are shuffled and split as Keras does, or ``x_train``,
    ``y_train``, ``x_test`` and ``y_test``. standardize: subtract the mean of each feature and divide by
    its standard deviation, both over the whole training set. Prices in dollars, as Keras has California's, become
    units of 100,000 dollars, as scikit-learn has them.

    Raises UsageError for any other file, and for invalid options.
    """
    if not isinstance(standardize, bool):
        raise bad_value("--data-arg standardize", standardize, "true or false")
    entry, file = describe(name), staged_path(name)
    arrays = read_named(file, KEYS, ("x", "y"))
    x_train, y_train, x_test, y_test = _shuffled_and_split(*arrays) if len(arrays) == 2 else arrays
    if x_train.shape[1:] != entry.shape:
        raise UsageError(
            f"data set {name!r} ({file}): a sample has shape {x_train.shape[1:]}; expected {entry.shape}. "
            f"Stage it afresh: hpcnn data stage {name} --force"
        )
    notes = [*part_notes(entry, len(x_train), len(x_test))]
    if name == "california_housing" and np.median(y_train) > 1000:
        y_train, y_test = y_train / _DOLLARS, y_test / _DOLLARS
        notes.append("prices in units of 100,000 dollars")
    if standardize:
        x_train, x_test = _standardized(x_train, x_test)
        notes.append("features standardized: mean 0, standard deviation 1 over the whole training set")
    return DataSet(
        name,
        x_train.astype(np.float32),
        y_train.astype(np.float32),
        x_test.astype(np.float32),
        y_test.astype(np.float32),
        description=entry.description,
        source=entry.source,
        notes=tuple(notes),
    )


def _shuffled_and_split(x: Array, y: Array) -> tuple[Array, ...]:
    """Return training and test set in Keras's order: x_train, y_train, x_test, y_test."""
    order = np.arange(len(x))
    np.random.RandomState(_SEED).shuffle(order)
    x, y, count = x[order], y[order], int(len(x) * (1 - _TEST_SHARE))
    return x[:count], y[:count], x[count:], y[count:]


def _standardized(x_train: Array, x_test: Array) -> tuple[Array, Array]:
    """Subtract the mean and divide by the standard deviation of each feature of the training set."""
    mean, deviation = x_train.mean(axis=0), x_train.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return (x_train - mean) / deviation, (x_test - mean) / deviation
