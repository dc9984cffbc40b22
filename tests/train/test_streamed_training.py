"""A training on data that stays on disk: its seconds of input, its caches, its bad samples, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcnn.data.registry import load
from hpcnn.data.stream.convert import convert
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_lines
from tests.train.launching import Train

SPEC = TrainSpec(model="psc-fc64", batch_size=20, epochs=2, checkpoint=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "digits"
    convert(load("digits", samples=200, test_samples=40), f"npy:{path}", 64)
    return f"npy:{path}"


def losses(run: Any) -> list[float]:
    lines = list(read_lines(run.epochs(0)))
    return [number for line in lines for number in (line["loss"], line["validation"]["loss"])]


def test_every_cache_trains_the_same(folder: str, train: Train) -> None:
    runs = [train(replace(SPEC, data=folder, cache=cache)) for cache in ("none", "memory", "local-disk")]
    found = [losses(run) for run in runs]
    assert found[0] == found[1] == found[2]
    events = [line["key"] for line in read_lines(runs[2].events)]
    assert "copied_to_local_disk" in events


def test_input_seconds_are_the_time_of_waiting(train: Train) -> None:
    """Ten slices an epoch, each of which takes 50 ms to read."""
    run = train(replace(SPEC, data="own:slow_samples", data_args={"seconds": 0.05}, evaluate=False))
    slow = list(read_lines(run.epochs(0)))[1]
    assert 0.3 < slow["seconds_input"] < slow["seconds_total"]
    assert slow["seconds_input"] > 0.6 * slow["seconds_total"]


def test_shuffle_decides_the_order_and_so_the_weights(folder: str, train: Train) -> None:
    found = [losses(train(replace(SPEC, data=folder, shuffle=shuffle))) for shuffle in ("global", "block:10", "none")]
    assert found[0] != found[1] != found[2]


def test_bad_samples_are_counted_or_end_the_training(tmp_path: Path, train: Train) -> None:
    data = load("digits", samples=60, test_samples=20)
    x = data.x_train.astype(np.float32)
    x[[5, 17]] = np.nan
    for name, array in (("x_train", x), ("y_train", data.y_train)):
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "x_test.npy", data.x_test.astype(np.float32))
    np.save(tmp_path / "y_test.npy", data.y_test)
    spec = replace(SPEC, data=f"npy:{tmp_path}")
    run = train(replace(spec, skip_bad=2))
    assert [line["bad_samples"] for line in read_lines(run.epochs(0))] == [2, 2]
    with pytest.raises(UsageError, match=r"sample (5|17) \(.*x_train.npy, number (5|17)\): a feature is NaN"):
        train(spec)


def test_what_has_no_effect_is_refused(folder: str, train: Train) -> None:
    with pytest.raises(UsageError, match=r"--cache: 'none' is not valid; expected no value with digits"):
        train(replace(SPEC, data="digits", cache="none"))
    with pytest.raises(UsageError, match=r"--skip-bad: 3 is not valid; expected no value with digits"):
        train(replace(SPEC, data="digits", skip_bad=3))
    with pytest.raises(UsageError, match=r"--expand: 5 is not valid; expected 1"):
        train(replace(SPEC, data=folder, expand=5))
