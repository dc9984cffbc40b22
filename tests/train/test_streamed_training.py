"""A training on data that stays on disk: its seconds of input, its caches, its bad samples, and how it ends."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hpcnn.data.registry import load
from hpcnn.data.stream.convert import convert
from hpcnn.data.stream.on_node import OnNode
from hpcnn.data.stream.opened import part_of
from hpcnn.data.stream.streamed import StreamedSet, source_of
from hpcnn.parallel.serial import SingleReplica
from hpcnn.rundir.layout import SCHEMA_VERSION, RunDir
from hpcnn.rundir.staging import SBCAST, Staged, Staging, write_staging
from hpcnn.specs.train import TrainSpec
from hpcnn.train.node_order import Parts
from hpcnn.train.record import Record
from hpcnn.train.session import train_under
from hpcnn.train.state import _check
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


def test_blocks_of_the_node_train_the_same_where_they_are_copied(folder: str, train: Train) -> None:
    spec = replace(SPEC, data=folder, shuffle="node:16", evaluate_training=True)
    runs = [train(replace(spec, cache=cache)) for cache in ("none", "local-disk")]
    assert losses(runs[0]) == losses(runs[1])
    events = {line["key"]: line for line in read_lines(runs[1].events)}
    assert events["copied_to_local_disk"]["metadata"]["samples"] == 200
    notes = [line["value"] for line in read_lines(runs[1].events) if line["key"] == "note"]
    assert any("the node trains on 200 samples, blocks of its own" in note for note in notes)


def test_a_training_on_blocks_of_nodes_goes_on_with_the_same_ranks_on_its_nodes_alone() -> None:
    facts = {"schema": SCHEMA_VERSION, "train": {"shuffle": "node:16"}, "size": 4, "nodes": [0, 0, 1, 1]}
    strategy: Any = SimpleNamespace(size=4)
    _check(facts, strategy, {"shuffle": "node:16"}, [0, 0, 1, 1])
    with pytest.raises(UsageError, match=r"--shuffle: 'node:16' .* began, 2 of them \(2, 2 ranks\)"):
        _check(facts, strategy, {"shuffle": "node:16"}, [0, 1, 2, 3])


def test_what_a_node_does_not_have_is_read_where_it_was(folder: str) -> None:
    data = load(folder)
    assert isinstance(data, StreamedSet)
    part = Parts(200, 16, 1, 20, [0, 1]).parts[1]
    copy = part_of(data, part)
    read = OnNode(source_of(data.x_train), source_of(copy.x_train), part)
    own, others = part.samples(np.arange(5)), np.setdiff1d(np.arange(200), part.samples(np.arange(len(part))))[:5]
    for asked in (own, others, np.concatenate([own, others])):
        for found, wanted in zip(read.read(asked), source_of(data.x_train).read(asked), strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert len(copy.x_train) == len(part) == 100


def test_weights_of_samples_are_copied_too(tmp_path: Path, train: Train) -> None:
    data = load("digits", samples=60, test_samples=20)
    weighted = replace(data, train_weights=np.linspace(0, 2, 60).astype(np.float32))
    name = f"npy:{tmp_path / 'data'}"
    convert(weighted, name, 16)
    found = [losses(train(replace(SPEC, data=name, cache=cache))) for cache in ("none", "local-disk")]
    assert found[0] == found[1]
    unweighted = losses(train(replace(SPEC, data="digits", samples=60, test_samples=20)))
    assert found[0] != unweighted


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
    for cache in ("local-disk", "memory"):  # met as they were copied
        copied = train(replace(spec, skip_bad=2, cache=cache))
        assert [line["bad_samples"] for line in read_lines(copied.epochs(0))] == [2, 2]
    again = RunDir(tmp_path / "run")
    again.create()
    again.stop.write_text("a test")
    for ended in (False, True):  # stopped after its first call, which has met one of them or both
        spec_of_one = replace(spec, skip_bad=2, shuffle="none")
        assert train_under(SingleReplica(), spec_of_one, str(again.path), lambda line: None, resume=True) is ended
    assert [line["bad_samples"] for line in read_lines(again.epochs(0))] == [2, 2]
    with pytest.raises(UsageError, match=r"sample (5|17) \(.*x_train.npy, number (5|17)\): a feature is NaN"):
        train(spec)


def test_what_has_no_effect_is_refused(folder: str, train: Train) -> None:
    with pytest.raises(UsageError, match=r"--cache: 'none' is not valid; expected no value with digits"):
        train(replace(SPEC, data="digits", cache="none"))
    with pytest.raises(UsageError, match=r"--skip-bad: 3 is not valid; expected no value with digits"):
        train(replace(SPEC, data="digits", skip_bad=3))
    with pytest.raises(UsageError, match=r"--expand: 5 is not valid; expected 1"):
        train(replace(SPEC, data=folder, expand=5))


def test_what_is_to_be_told_of_data_is_said_and_recorded(
    tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels from 1 on, files that change in the first epoch, and copies of a job that this node has not."""
    folder = tmp_path / "digits"
    convert(load("digits", samples=60, test_samples=20), f"npy:{folder}", 64)
    for part in ("train", "test"):
        np.save(folder / f"y_{part}.npy", np.load(folder / f"y_{part}.npy") + 1)
    original = Staged(f"{folder}/x_train.npy", f"{tmp_path}/copy", 0, SBCAST, 1, 4711, "stamp", "")
    write_staging(tmp_path / "staging.json", Staging("-0", 2, 3.5, (original,)))
    monkeypatch.setenv("HPCNN_STAGING", str(tmp_path / "staging.json"))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(Record, "epoch", lambda self, line: os.utime(folder / "x_train.npy"))
    run = train(replace(SPEC, data=f"npy:{folder}", evaluate=False))
    events = list(read_lines(run.events))
    notes = [line["value"] for line in events if line["key"] == "note"]
    assert sum("no label is 0: they are 1 to 10" in note for note in notes) == 1
    changed = [note for note in notes if "x_train.npy changed while the training read it" in note]
    assert len(changed) == 2  # after each of the two epochs
    (copied,) = [line for line in events if line["key"] == "staged"]
    (reasons,) = copied["metadata"]["originals"].values()
    assert (copied["value"], list(reasons)) == (3.5, [f"{folder}/x_train.npy"])
    assert any("copied 1 file (0.0 MB) to the disks of 2 nodes in 3.5 s, by sbcast; " in note for note in notes)
