"""Ranks that have read other data are stopped before the first step, with the likely causes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcnn.data.dataset import DataSet
from hpcnn.data.given import data_set_of
from hpcnn.data.registry import load
from hpcnn.data.stream.convert import convert
from hpcnn.parallel.serial import SingleReplica
from hpcnn.train.same_data import check_same_data, fingerprint
from hpcnn.util.errors import UsageError

X = np.arange(5000, dtype=np.float32).reshape(2500, 2)
Y = np.arange(2500) % 10


def data_of(order: Any, part: slice = slice(None)) -> DataSet:
    return DataSet("mine", X[order][part], Y[order][part], X[:10], Y[:10])


class Two(SingleReplica):
    """Rank 0 of two, the other of which has its own data."""

    processes = 2

    def __init__(self, others: DataSet) -> None:
        self._others = others

    def extremes(self, values: Any) -> Any:
        return np.zeros(1), np.ones(1)  # they differ

    def collect(self, thing: Any) -> Any:
        samples = f"{self._others.samples:,} + {self._others.test_samples:,}"
        return [thing, {"samples": samples, "data": fingerprint(self._others)}]


def test_another_order_or_another_label_is_other_data_and_the_same_again_is_not() -> None:
    order = np.random.default_rng(1).permutation(2500)
    found = fingerprint(data_of(order))
    assert found == fingerprint(data_of(order.copy()))
    assert found != fingerprint(data_of(order[::-1]))
    changed = replace(data_of(order), y_test=(Y[:10] + 1) % 10)
    assert found != fingerprint(changed)
    weighted = replace(data_of(order), train_weights=np.ones(2500))
    assert found != fingerprint(weighted)


def test_data_on_disk_is_compared_by_some_of_its_samples(tmp_path: Path) -> None:
    names = [f"npy:{tmp_path / name}" for name in "ab"]
    digits = load("digits", samples=60, test_samples=20)
    convert(digits, names[0], 16)
    convert(replace(digits, x_train=digits.x_train[::-1], y_train=digits.y_train[::-1]), names[1], 16)
    assert fingerprint(load(names[0])) == fingerprint(load(names[0])) != fingerprint(load(names[1]))


def test_a_dataset_that_shuffles_without_a_seed_is_other_data_each_time() -> None:
    tf = pytest.importorskip("tensorflow")
    samples = tf.data.Dataset.from_tensor_slices((X, Y))

    def found(**seed: int) -> int:
        return fingerprint(data_set_of("mine:load", (samples.shuffle(2500, **seed), samples)))

    assert found() != found()
    assert found(seed=1) == found(seed=1)


def test_ranks_with_other_data_are_told_what_makes_it_so() -> None:
    order = np.random.default_rng(1).permutation(2500)
    mine = data_of(order)
    check_same_data(mine, SingleReplica())
    with pytest.raises(UsageError, match=r"ranks do not have the same samples: rank 1 of 2 .* sort the names"):
        check_same_data(mine, Two(data_of(order[::-1])))
    expected = r"different numbers of training and test samples: rank 0 2,500 \+ 10, rank 1 2,400 \+ 10"
    with pytest.raises(UsageError, match=expected):
        check_same_data(mine, Two(data_of(order, slice(2400))))
