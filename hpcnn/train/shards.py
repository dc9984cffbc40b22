"""Divides a user's training data among the ranks: arrays, a ``tf.data.Dataset``, a ``keras.utils.PyDataset``.

Every rank gets the same number of samples or batches, because all must do the same number of steps. Must not know the
ranks' communication: a rank needs its own number and the world size alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcnn.util.errors import UsageError
from hpcnn.util.types import Array

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def shard_arrays(arrays: Sequence[Array], rank: int, size: int, seed: int) -> tuple[Array, ...]:
    """Return a rank's part of arrays of N samples each, the same samples of every array: ceil(N / size) of them.

    Where N does not divide evenly, two ranks see the first few samples of a common shuffled order. Raises UsageError
    for arrays of different lengths, and for fewer samples than ranks.
    """
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1:
        raise UsageError(f"shard: the arrays have different lengths ({', '.join(map(str, sorted(lengths)))})")
    count = lengths.pop()
    _check_count(count, size, "samples")
    if size == 1:
        return tuple(arrays)
    order = np.random.Generator(np.random.Philox(key=[seed, 0])).permutation(count)
    own = np.sort(np.resize(order, -(-count // size) * size)[rank::size])
    return tuple(array[own] for array in arrays)


def shard_dataset(dataset: tf.data.Dataset, rank: int, size: int) -> tf.data.Dataset:
    """Return every ``size``-th element of a dataset, from number ``rank`` on. An element may be a sample or a batch.

    The dataset must have the same elements in the same order on every rank. Of N elements every rank gets
    ceil(N / size): the first few are seen twice. Of a dataset of unknown length (``from_generator``) every rank gets
    floor(N / size), and the last few are left out: nobody knows them for the last. Raises UsageError for fewer
    elements than ranks.
    """
    import tensorflow as tf

    if size == 1:
        return dataset
    count = int(dataset.cardinality())
    if count == tf.data.INFINITE_CARDINALITY:
        return dataset.shard(size, rank)
    if count == tf.data.UNKNOWN_CARDINALITY:
        rounds = dataset.window(size, drop_remainder=True)
        return rounds.flat_map(lambda *parts: _whole(parts).skip(rank).take(1))
    _check_count(count, size, "elements")
    return dataset.concatenate(dataset.take(-count % size)).shard(size, rank)


def _whole(parts: tuple[Any, ...]) -> tf.data.Dataset:
    """Return the elements of a window, whose parts ``window`` has made datasets of their own."""
    import tensorflow as tf

    return tf.data.Dataset.zip(parts if len(parts) > 1 else parts[0])


def shard_batches(batches: keras.utils.PyDataset, rank: int, size: int) -> keras.utils.PyDataset:
    """Return a PyDataset with every ``size``-th batch of another, from number ``rank`` on: ceil(N / size) of them.

    The other must have the same batches on every rank: one that shuffles in ``on_epoch_end`` must do so from a seed.
    Raises UsageError for fewer batches than ranks, and for an unknown number of them.
    """
    if size == 1:
        return batches
    count = batches.num_batches
    if count is None:
        raise UsageError("shard: a PyDataset of unknown length cannot be divided: give it __len__")
    _check_count(count, size, "batches")
    return _every(batches, count, rank, size)


def _every(batches: keras.utils.PyDataset, count: int, rank: int, size: int) -> keras.utils.PyDataset:
    import keras

    class Shard(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return -(-count // size)

        def __getitem__(self, index: int) -> Any:
            return batches[(index * size + rank) % count]

        def on_epoch_begin(self) -> None:
            batches.on_epoch_begin()

        def on_epoch_end(self) -> None:
            batches.on_epoch_end()

    how = {name: getattr(batches, name) for name in ("workers", "use_multiprocessing", "max_queue_size")}
    return Shard(**how)


def _check_count(count: int, size: int, what: str) -> None:
    if count < size:
        raise UsageError(f"shard: {count} {what} cannot be divided among {size} ranks")
