"""Parts of a user's data: as many for every rank, and together all that there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from hpcnn.train.shards import shard_arrays, shard_batches, shard_dataset
from hpcnn.util.errors import UsageError

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")


def elements(dataset: Any) -> list[int]:
    return [int(one) for one in dataset.as_numpy_iterator()]


@pytest.mark.parametrize(("count", "size"), [(10, 1), (10, 2), (10, 3), (7, 7)])
def test_arrays_are_divided_alike_and_every_sample_is_seen(count: int, size: int) -> None:
    x, y = np.arange(count), np.arange(count) * 10
    parts = [shard_arrays((x, y), rank, size, seed=1) for rank in range(size)]
    assert {len(part) for pair in parts for part in pair} == {-(-count // size)}
    assert set(np.concatenate([part for part, _ in parts]).tolist()) == set(range(count))
    assert all(np.array_equal(ten, 10 * one) for one, ten in parts)


@pytest.mark.parametrize(("count", "size"), [(10, 1), (10, 2), (10, 3), (7, 7)])
def test_a_dataset_of_known_length_is_divided_alike_and_every_element_is_seen(count: int, size: int) -> None:
    parts = [elements(shard_dataset(tf.data.Dataset.range(count), rank, size)) for rank in range(size)]
    assert {len(part) for part in parts} == {-(-count // size)}
    assert {one for part in parts for one in part} == set(range(count))


def numbers() -> Iterator[int]:
    yield from range(8)


def test_a_dataset_of_unknown_length_loses_its_last_few() -> None:
    dataset = tf.data.Dataset.from_generator(numbers, output_signature=tf.TensorSpec((), tf.int64))
    assert [elements(shard_dataset(dataset, rank, 3)) for rank in range(3)] == [[0, 3], [1, 4], [2, 5]]


def test_elements_of_several_parts_stay_together() -> None:
    signature = ({"a": tf.TensorSpec((), tf.int64)}, tf.TensorSpec((2,), tf.int64))
    dataset = tf.data.Dataset.from_generator(
        lambda: (({"a": number}, [number, -number]) for number in range(5)), output_signature=signature
    )
    ((features, label), second) = shard_dataset(dataset, 1, 2).as_numpy_iterator()
    assert (features["a"], label.tolist(), second[1].tolist()) == (1, [1, -1], [3, -3])


def test_a_dataset_without_end_stays_one() -> None:
    part = shard_dataset(tf.data.Dataset.range(3).repeat(), 1, 2)
    assert elements(part.take(4)) == [1, 0, 2, 1]


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    def __init__(self, count: int) -> None:
        super().__init__(workers=2, max_queue_size=3)
        self.count, self.ended = count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        return index

    def on_epoch_end(self) -> None:
        self.ended += 1


def test_batches_of_a_pydataset_are_divided_alike() -> None:
    whole = Batches(5)
    parts = [shard_batches(whole, rank, 2) for rank in range(2)]
    assert [[part[number] for number in range(len(part))] for part in parts] == [[0, 2, 4], [1, 3, 0]]
    assert (parts[0].workers, parts[0].max_queue_size) == (2, 3)
    parts[0].on_epoch_end()
    assert whole.ended == 1
    assert shard_batches(whole, 0, 1) is whole


def test_what_cannot_be_divided_is_refused() -> None:
    for divide in (
        lambda: shard_arrays((np.zeros(2),), 0, 3, 1),
        lambda: shard_dataset(tf.data.Dataset.range(2), 0, 3),
        lambda: shard_batches(Batches(2), 0, 3),
    ):
        with pytest.raises(UsageError, match=r"shard: 2 \w+ cannot be divided among 3 ranks"):
            divide()
    with pytest.raises(UsageError, match=r"different lengths \(2, 3\)"):
        shard_arrays((np.zeros(2), np.zeros(3)), 0, 2, 1)
