"""``--profile`` of a serial training: what is recorded, and that it changes nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.parallel.serial import SingleReplica
from hpcnn.report import epoch_times, load
from hpcnn.rundir.layout import RunDir
from hpcnn.trace.chrome import COMMUNICATION, OPERATION, read
from hpcnn.train.console import profile_line
from hpcnn.train.profiler import Profile
from hpcnn.util.files import read_lines
from tests.train.cases import PROFILED
from tests.train.launching import Train

pytest.importorskip("tensorflow")


def losses(run: RunDir) -> list[float]:
    return [line["loss"] for line in read_lines(run.epochs(0))]


def test_a_serial_training_records_its_steps_and_is_the_same_training(train: Train) -> None:
    run = train(PROFILED)
    plain = train(replace(PROFILED, profile=None))
    assert losses(run) == pytest.approx(losses(plain), rel=1e-6)  # other calls add up the same losses
    assert not plain.traces()
    ((_, file),) = run.traces()
    trace = read(file)
    facts = trace.facts
    assert (facts["epoch"], facts["first_step"], facts["steps"]) == (1, 5, 3)
    assert 0 < facts["seconds_compute"] < facts["seconds"] < 60
    # psc-cnn1 has one convolution: once forward, once for the gradient of its weights, in each step
    convolutions = [event for event in trace.events if event.kind == OPERATION and "Conv2D" in event.type]
    assert len(convolutions) == 2 * 3
    assert all(0 <= event.begin < 1e6 * facts["seconds"] for event in convolutions)
    assert not any(event.kind == COMMUNICATION for event in trace.events)
    assert [file.name for file in run.tensorboard.rglob("*.xplane.pb")] == ["rank00000.xplane.pb"]
    assert not list(run.path.glob(".profile*"))


def test_without_a_full_batch_after_tracing_the_second_epoch_is_recorded_and_does_not_count(train: Train) -> None:
    run = train(replace(PROFILED, samples=133))
    assert [line.get("profiled") for line in read_lines(run.epochs(0))] == [None, True, None]
    data = load(run.path)
    assert epoch_times(data, warmup=0)["epoch"].tolist() == [1, 3]


def test_a_training_that_ends_too_soon_records_nothing_and_says_so(train: Train) -> None:
    run = train(replace(PROFILED, samples=120, epochs=1))
    assert not run.traces()
    assert "nothing was recorded" in profile_line(None, run.path)
    shown = CliRunner().invoke(main, ["profile", str(run.path)])
    assert shown.exit_code == 2
    assert "holds no recorded steps; train with --profile N" in shown.output


@pytest.mark.parametrize("steps", [0, 65])
def test_a_number_of_steps_that_cannot_be_is_refused(steps: int, tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["train", "--run-dir", str(tmp_path / "run"), "--profile", str(steps)])
    assert ended.exit_code == 2
    assert f"--profile: {steps} is not valid" in ended.output


@pytest.mark.parametrize(("rank", "writes"), [(0, True), (4, True), (1, False), (99, False)])
def test_of_many_ranks_some_at_even_distances_record(rank: int, writes: bool, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    strategy = SingleReplica()
    strategy.rank, strategy.processes = rank, 100
    profile = Profile(3, run, strategy)
    recorded = []
    profile._record = lambda call, sums, done, steps: recorded.append(rank) or call(sums)  # type: ignore[method-assign]
    sums: Any = "sums"
    assert profile.record(lambda sums: sums, sums, 2, 0, 3) == "sums"
    assert (profile.epoch, profile.steps, bool(recorded)) == (2, None, writes)
