"""What a training writes down: of one process alone, and of two ranks together."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from hpcnn.rundir.layout import SCHEMA_VERSION, RunDir
from hpcnn.util.files import read_json, read_lines
from tests.train.cases import CASES, MOMENTUM, REPLICAS, SETUPS
from tests.train.launching import Trained

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

PARTS = ("seconds_input", "seconds_compute", "seconds_communication", "seconds_other")
OF_STEPS = (
    "steps_timed",
    "step_seconds_mean",
    "step_seconds_variance",
    "step_skewness",
    "step_seconds_sum_of_maxima",
)
KEYS = {
    "epoch",
    "rank",
    "seconds_total",
    *PARTS,
    "seconds_evaluation",
    "seconds_since_start",
    "samples",
    "steps",
    "loss",
    "metrics",
    "validation",
    "learning_rate",
    *OF_STEPS,
}
STEPS = 4  # of 333 samples in batches of 100


@pytest.fixture(params=["alone", "together"])
def run(request: pytest.FixtureRequest) -> RunDir:
    """Return the run of one process, then that of two ranks."""
    found: RunDir = request.getfixturevalue(request.param)
    return found


def all_lines_of(run: RunDir) -> list[dict[str, Any]]:
    """Return every epoch of every rank."""
    return [line for lines in lines_of(run) for line in lines]


def lines_of(run: RunDir) -> list[list[dict[str, Any]]]:
    """Return every rank's epochs."""
    return [list(read_lines(file)) for _, file in run.epoch_files()]


def test_every_rank_writes_a_line_an_epoch(run: RunDir) -> None:
    for rank, lines in enumerate(lines_of(run)):
        assert [line["epoch"] for line in lines] == [1, 2]
        for line in lines:
            assert set(line) - {"usage"} == KEYS
            assert (line["rank"], line["steps"], set(line["metrics"])) == (rank, STEPS, {"accuracy"})
            assert set(line["validation"]) == {"loss", "accuracy"}
            assert line["learning_rate"] == pytest.approx(MOMENTUM.learning_rate)


def test_every_rank_says_what_it_used_and_the_first_what_its_node_did(run: RunDir) -> None:
    for rank, (first, *_) in enumerate(lines_of(run)):
        used = first["usage"]
        assert used["memory_peak_bytes"] > 100 * 2**20  # TensorFlow alone takes more
        assert used["read_bytes"] > 0
        assert used["cpu_seconds"] > 0
        assert used["seconds"] > first["seconds_total"]
        assert ("node_cpu_seconds" in used) == (rank == 0)


def test_the_parts_of_an_epoch_are_its_total(run: RunDir) -> None:
    for line in all_lines_of(run):
        parts = [line[part] for part in PARTS]
        assert min(parts) >= 0
        assert sum(parts) == pytest.approx(line["seconds_total"], rel=1e-3)
        assert line["seconds_compute"] > 0
        assert line["seconds_evaluation"] > 0


def test_the_work_of_steps_is_the_time_outside_communication(run: RunDir) -> None:
    """Of the three whole batches of an epoch, the same numbers on every rank."""
    for lines in zip(*lines_of(run), strict=True):
        assert len({tuple(line[key] for key in OF_STEPS) for line in lines}) == 1
        first = lines[0]
        assert first["steps_timed"] == STEPS - 1
        mean, slowest = first["step_seconds_mean"], first["step_seconds_sum_of_maxima"] / (STEPS - 1)
        assert 0 < mean <= slowest * (1 + 1e-9)
        assert first["step_seconds_variance"] >= 0
        for line in lines:
            assert slowest * (STEPS - 1) < line["seconds_total"]
        if len(lines) == 1:
            assert slowest == pytest.approx(mean)
            # computing and reading, and what of the optimizer lies before the next gradients
            computed = (first["seconds_compute"] + first["seconds_input"]) / STEPS
            assert mean > 0.5 * computed


def test_only_several_ranks_communicate(alone: RunDir, together: RunDir) -> None:
    single = [line["seconds_communication"] for line in lines_of(alone)[0]]
    several = [line["seconds_communication"] for line in all_lines_of(together)]
    assert max(single) < min(several)


@pytest.mark.parametrize("setup", SETUPS)
def test_the_samples_of_the_ranks_are_those_of_the_epoch(setup: str, trained: Trained) -> None:
    for case in ("momentum", "last-batch-of-one"):
        lines = lines_of(RunDir(trained(setup) / case))
        assert len(lines) == SETUPS[setup][1]
        for epoch in zip(*lines, strict=True):
            own = [line["samples"] for line in epoch]
            assert sum(own) == CASES[case].samples
            assert max(own) - min(own) <= STEPS  # at most one a step


def test_results_are_those_of_all_ranks(together: RunDir, alone: RunDir) -> None:
    one, other = lines_of(together)
    for key in ("loss", "metrics", "validation"):
        assert [line[key] for line in one] == [line[key] for line in other]
        for ours, serial in zip(one, lines_of(alone)[0], strict=True):
            assert ours[key] == pytest.approx(serial[key], rel=1e-5)


def test_events_are_in_order(run: RunDir) -> None:
    events = list(read_lines(run.events))
    start = ["init_start", "data_stop", "model_stop", "init_stop", "run_start"]
    epoch = ["epoch_start", "eval_start", "eval_stop", "epoch_stop"]
    first = ["epoch_start", "first_call", "eval_start", "eval_stop", "epoch_stop"]
    assert [event["key"] for event in events] == [*start, *first, *epoch, "run_stop"]
    assert 0 < events[0]["value"] < 600  # seconds since the process was started
    call = next(event for event in events if event["key"] == "first_call")
    assert 0 < call["metadata"]["seconds_in_graph"] < call["value"] < call["seconds"]
    assert 0 < call["metadata"]["seconds_tracing"] < call["value"]
    seconds = [event["seconds"] for event in events]
    assert seconds == sorted(seconds)
    assert [event["value"] for event in events if event["key"] == "epoch_start"] == [1, 2]
    assert events[-1]["value"] == "completed"
    evaluations = [event["metadata"] for event in events if event["key"] == "eval_stop"]
    assert evaluations == [line["validation"] for line in lines_of(run)[0]]


def test_the_result_is_the_last_epochs(run: RunDir) -> None:
    result = run.read_result() or {}
    last = lines_of(run)[0][-1]
    assert (result["schema"], result["status"], result["exit_code"]) == (SCHEMA_VERSION, "completed", 0)
    assert (result["epochs"], result["test"], result["test_samples"]) == (2, last["validation"], 120)
    spent = sum(line["seconds_total"] + line["seconds_evaluation"] for line in lines_of(run)[0])
    assert result["seconds_total"] > spent


def test_provenance_names_every_rank(run: RunDir) -> None:
    provenance = read_json(run.provenance) or {}
    hosts = provenance["hosts"]
    assert provenance["world_size"] == len(hosts) == len(run.epoch_files())
    assert [host["rank"] for host in hosts] == list(range(len(hosts)))
    assert {host["host"] for host in hosts} == {socket.gethostname()}
    assert len({host["pid"] for host in hosts}) == len(hosts)
    for host in hosts:
        assert host["device"] == "CPU"
        assert host["cores"] == os.cpu_count()
        assert host["cores_allowed"]
        assert host["cpu_model"]
    assert provenance["global_batch_size"] == MOMENTUM.batch_size
    assert provenance["samples"] == MOMENTUM.samples
    sizes = {"parameters": 11_042, "trainable": 11_042, "tensors": 6}  # kernel and bias of three layers
    counted = {"flops_forward", "flops_training", "bytes_per_sample", "bytes_per_step", "not_counted"}
    assert {key: value for key, value in provenance["model"].items() if key not in counted} == {
        "name": "psc-cnn1",
        "weights": None,
        "frozen": [],
        "class_weights": None,
        "factored": [],  # its dense layers are small beside its batch
        "rewrites": {"activation after pooling": 1, "optimizer in one pass": 1},
        "allreduce_bytes": 4 * 11_042,
        "messages": {"serial": 0, "horovod": 6}.get(provenance["train"]["strategy"]),
        **sizes,
    }
    assert counted <= set(provenance["model"])
    assert provenance["train"]["optimizer"] == "sgd"  # what the user left open is filled in
    assert provenance["versions"]["keras"]
    assert "train" in provenance["command"]


def test_the_world_of_a_mirrored_process_is_its_replicas(trained: Trained) -> None:
    for setup, (_, processes, _) in SETUPS.items():
        provenance = read_json(RunDir(trained(setup) / "momentum").provenance) or {}
        assert provenance["world_size"] == REPLICAS[setup]
        assert len(provenance["hosts"]) == processes


def test_tensorboard_s_files_are_written_by_rank_0_alone(together: RunDir, alone: RunDir) -> None:
    pids = [host["pid"] for host in (read_json(together.provenance) or {})["hosts"]]
    files = [path.name for path in together.tensorboard.rglob("events.out.tfevents.*")]
    assert files
    assert {int(name.split(".")[-3]) for name in files} == {pids[0]}
    assert not alone.tensorboard.exists()


def test_tensorboard_finds_the_epochs_losses(together: RunDir) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    import tensorflow as tf

    curves = event_accumulator.EventAccumulator(str(together.tensorboard / "train")).Reload()
    values = [float(tf.make_ndarray(event.tensor_proto)) for event in curves.Tensors("epoch_loss")]
    assert values == pytest.approx([line["loss"] for line in lines_of(together)[0]], rel=1e-6)


def test_rank_0_alone_prints(together: RunDir) -> None:
    log = together.log.read_text()
    assert log.count("psc-cnn1 (11,042 parameters) on digits, 333 samples, global batch size 100, sgd, float32") == 1
    assert log.count("epoch 1/2") == log.count("epoch 2/2") == log.count("test: loss") == 1


def test_nothing_is_left_behind(run: RunDir) -> None:
    names = {path.name for path in run.path.iterdir()}
    ranks = {file.name for _, file in run.epoch_files()}
    every = {"spec.json", "provenance.json", "events.jsonl", "result.json", "checkpoints", *ranks}
    assert names - {"tensorboard", "job.sh", "log.out"} == every
    networks = {"epoch-001.keras", "epoch-002.keras"}
    assert {path.name for path in Path(run.checkpoints).iterdir()} == {"attempt.json", *networks}
