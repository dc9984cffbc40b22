"""Real trainings with ``--profile``: what is recorded, on which rank, and that it changes nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.report import epoch_times, load
from hpcnn.rundir.layout import RunDir
from hpcnn.trace.chrome import COMMUNICATION, OPERATION, read
from hpcnn.train.console import profile_line
from hpcnn.util.files import read_lines
from tests.train.cases import MOMENTUM
from tests.train.launching import Command, Submit, Train, options_of

pytest.importorskip("tensorflow")

# Batches of 40: 8 full ones and one of 13 an epoch.
SPEC = replace(MOMENTUM, batch_size=40, checkpoint=False, epochs=3, profile=3)


def losses(run: RunDir) -> list[float]:
    return [line["loss"] for line in read_lines(run.epochs(0))]


def test_a_serial_training_records_its_steps_and_is_the_same_training(train: Train) -> None:
    run = train(SPEC)
    plain = train(replace(SPEC, profile=None))
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
    run = train(replace(SPEC, samples=133))
    assert [line.get("profiled") for line in read_lines(run.epochs(0))] == [None, True, None]
    data = load(run.path)
    assert epoch_times(data, warmup=0)["epoch"].tolist() == [1, 3]


def test_a_training_that_ends_too_soon_records_nothing_and_says_so(train: Train) -> None:
    run = train(replace(SPEC, samples=120, epochs=1))
    assert not run.traces()
    assert "nothing was recorded" in profile_line(None, run.path)
    shown = CliRunner().invoke(main, ["profile", str(run.path)])
    assert shown.exit_code == 2
    assert "holds no recorded steps; train with --profile N" in shown.output


@pytest.mark.mpi
@pytest.mark.slow
def test_two_horovod_ranks_are_on_one_clock_with_horovods_timeline(
    submit: Submit, hpcnn: Command, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    ended = submit(run.path, 2, *options_of(replace(SPEC, strategy="horovod")))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    traces = [read(file) for _, file in run.traces()]
    assert [trace.rank for trace in traces] == [0, 1]
    first, second = traces
    # both left the barrier at about the same moment, by the clock that they share
    assert abs(first.facts["origin_ns"] - second.facts["origin_ns"]) < 1e9
    # each of the 6 gradients was agreed on and summed in each of the 3 steps
    rounds = [event for event in first.events if event.kind == COMMUNICATION and event.type == "ALLREDUCE"]
    gradients = {event.name for event in rounds if "gradient" in event.name}
    assert len(gradients) == 6
    assert all(sum(event.name == gradient for event in rounds) == 3 for gradient in gradients)
    end = 1e6 * first.facts["seconds"]
    assert all(event.begin > 0 and event.begin + event.duration < end for event in rounds)
    assert not any(event.kind == COMMUNICATION for event in second.events)
    assert len(list(run.tensorboard.rglob("rank0000?.xplane.pb"))) == 2

    shown = hpcnn("profile", run.path, "--format", "json", "--top", 3)
    record = json.loads(shown.stdout)
    assert [row["kind"] for row in record["operations"]] == [OPERATION] * 3 + [COMMUNICATION] * 3
    assert run.all_traces.exists()


@pytest.mark.parametrize("steps", [0, 65])
def test_a_number_of_steps_that_cannot_be_is_refused(steps: int, tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["train", "--run-dir", str(tmp_path / "run"), "--profile", str(steps)])
    assert ended.exit_code == 2
    assert f"--profile: {steps} is not valid" in ended.output
