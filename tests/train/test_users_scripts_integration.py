"""Users' own Keras scripts with ``hpcnn.init()``, under two real ranks and alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_json, read_lines
from tests.train.launching import ROOT, USER, Command, Submit

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

EXAMPLES = ROOT / "docs" / "examples"
DISTRIBUTED = EXAMPLES / "distributed_script.py"
OBSERVED = USER / "script_observed.py"

Seen = Mapping[str, npt.NDArray[Any]]


def same_weights(one: Seen, other: Seen) -> bool:
    """Whether two ranks' files hold the same weights, bit for bit (weights have numbers for names)."""
    numbers = [name for name in one if name.isdigit()]
    assert numbers
    return all(np.array_equal(one[name], other[name]) for name in numbers)


# docs/examples/distributed_script.py, for four epochs instead of ten: docs/own-script.md has what ten give.


def shortened(script: Path, folder: Path, epochs: int = 4) -> Path:
    """Return a copy of a script that trains for fewer epochs."""
    text, short = script.read_text(), folder / script.name
    short.write_text(text.replace("epochs=10", f"epochs={epochs}"))
    assert short.read_text() != text
    return short


@pytest.fixture(scope="module")
def example(submit: Submit, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, list[Seen]]:
    """Return the record of the example with two ranks, and what each rank saw."""
    folder = tmp_path_factory.mktemp("example")
    run = RunDir(folder / "run")
    result = submit(run.path, 2, "--", sys.executable, OBSERVED, folder / "seen", shortened(DISTRIBUTED, folder))
    assert result.returncode == 0, result.stdout + result.stderr
    return run, [np.load(folder / "seen" / f"rank{rank}.npz") for rank in range(2)]


def test_the_example_trains_the_same_weights_on_both_ranks(example: tuple[RunDir, list[Seen]]) -> None:
    _, (one, other) = example
    assert same_weights(one, other)
    assert [int(seen["samples"]) for seen in (one, other)] == [719, 719]  # 1437 samples, one of them seen by both


def test_the_example_leaves_a_whole_record(example: tuple[RunDir, list[Seen]]) -> None:
    run, _ = example
    result = run.read_result() or {}
    assert (result["status"], result["exit_code"], result["epochs"]) == ("completed", 0, 4)
    assert result["test"]["accuracy"] > 0.8
    assert result["seconds_total"] > 0
    for rank, file in run.epoch_files():
        lines = list(read_lines(file))
        assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
        assert {(line["rank"], line["samples"], line["steps"]) for line in lines} == {(rank, 719, 23)}
        assert all(line["seconds_total"] > 0 and line["seconds_evaluation"] > 0 for line in lines)
        assert lines[-1]["validation"] == result["test"]
        assert lines[-1]["loss"] < lines[0]["loss"]
        assert lines[-1]["learning_rate"] == pytest.approx(0.1)
    provenance = read_json(run.provenance) or {}
    assert provenance["world_size"] == 2
    assert [host["rank"] for host in provenance["hosts"]] == [0, 1]
    assert provenance["model"]["parameters"] > 0


def test_both_ranks_record_the_same_averaged_logs(example: tuple[RunDir, list[Seen]]) -> None:
    run, _ = example
    logs = [[(line["loss"], line["metrics"], line["validation"]) for line in read_lines(run.epochs(r))] for r in (0, 1)]
    assert logs[0] == logs[1]


def test_alone_the_example_trains_as_the_plain_lecture_script_does(command: Command, tmp_path: Path) -> None:
    seen = []
    for number, script in enumerate((DISTRIBUTED, EXAMPLES / "lecture_script.py")):
        folder, short = tmp_path / str(number), shortened(script, tmp_path, 2)
        result = command(sys.executable, OBSERVED, folder, short, cwd=tmp_path)
        short.unlink()
        assert result.returncode == 0, result.stderr
        seen.append(np.load(folder / "rank0.npz"))
    assert same_weights(*seen)
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1"}  # no record that nobody asked for


# What goes wrong


def test_an_optimizer_that_nobody_distributed_is_found_out(submit: Submit, tmp_path: Path) -> None:
    script, run = tmp_path / "undistributed.py", RunDir(tmp_path / "run")
    text = DISTRIBUTED.read_text()
    script.write_text(text.replace("run.distribute(keras.optimizers.SGD(0.1))", "keras.optimizers.SGD(0.1)"))
    assert script.read_text() != text
    result = submit(run.path, 2, "--", sys.executable, script, timeout=240)

    assert result.returncode == 1
    assert "the ranks do not hold the same weights" in (run.read_result() or {})["reason"]
    assert "is the optimizer the one that run.distribute() or hvd" in result.stdout
    assert not list(read_lines(run.epochs(0)))  # found after the first epoch, before it was recorded


DIFFERENT_POINTS = "the ranks are not at the same point: "
FAILURES = {
    "an exception": (1, "ArithmeticError: made to fail on one rank"),
    "sys.exit": (0, DIFFERENT_POINTS + "rank 0 has trained epoch 2, rank 1 has come to its end"),
    "more samples": (0, "the ranks would do different numbers of steps an epoch (4, 6)"),
    "more batches": (0, "the ranks did different numbers of batches in this epoch: rank 0 4, rank 1 5"),
    "stops in an epoch": (0, "the ranks did different numbers of batches in this epoch: rank 0 4, rank 1 2"),
    "stops": (0, DIFFERENT_POINTS + "rank 0 begins epoch 3, rank 1 ends its fit after epoch 2"),
    "a rate of its own": (0, "the ranks have different learning rates: rank 0 0.1, rank 1 0.05"),
    "weights at the end": (0, "the ranks do not hold the same weights: rank 1 of 2 differ from rank 0"),
    "waits": (0, "another rank ended, or this one waited too long for gradients that another never sent"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_rank_that_does_otherwise_ends_the_job_and_is_named(
    what: str, submit: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, (rank, reason) = RunDir(tmp_path / "run"), FAILURES[what]
    if what == "waits":
        monkeypatch.setenv("HOROVOD_STALL_CHECK_TIME_SECONDS", "1")
        monkeypatch.setenv("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", "2")
    result = submit(run.path, 2, "--", sys.executable, USER / "script_failing.py", what, timeout=240)

    assert result.returncode in (1, 3), result.stdout + result.stderr
    recorded = run.read_result() or {}
    assert recorded["status"] == "failed"
    assert reason in recorded["reason"]
    assert "\n" not in recorded["reason"]
    assert run.failures()[0]["rank"] == rank
    assert result.stdout.count(f"{reason}\n") <= 1  # no traceback twice


def test_a_run_directory_of_a_finished_run_is_refused_by_all_ranks(mpirun: Command, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{}")
    script = USER / "script_failing.py"
    result = mpirun(2, sys.executable, script, "nothing", HPCNN_RUN_DIR=str(tmp_path), timeout=240)
    assert result.returncode == 2
    assert "already holds a finished run" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


# Loops and data of a script's own


@pytest.fixture(scope="module")
def loops(submit: Submit, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, dict[str, list[Seen]]]:
    """Return the record of script_loops.py with two ranks, and of each training what each rank saw."""
    folder = tmp_path_factory.mktemp("loops")
    run = RunDir(folder / "run")
    result = submit(run.path, 2, "--", sys.executable, USER / "script_loops.py", folder, timeout=240)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("first gradients from different weights") == 1  # of the loop that nothing traces
    return run, {name: [np.load(folder / f"{name}.rank{rank}.npz") for rank in (0, 1)] for name in LOOPS}


LOOPS = ("distribute_alone", "loop", "two_optimizers", "eager", "unknown_length", "pydataset", "numbers", "xla")


@pytest.mark.parametrize("name", LOOPS)
def test_every_loop_leaves_the_same_weights_on_both_ranks(name: str, loops: tuple[Any, dict[str, list[Seen]]]) -> None:
    assert same_weights(*loops[1][name])


def test_a_loop_of_ones_own_trains_the_weights_of_one_process(loops: tuple[Any, dict[str, list[Seen]]]) -> None:
    """Momentum by hand: v = 0.9 v - 0.01 g, w += v; g of the mean square over both ranks' samples of a step."""
    (one, other), generator = loops[1]["loop"], np.random.default_rng(11)
    features = generator.normal(1.0, 2.0, (40, 3))
    import keras

    keras.utils.set_random_seed(1)
    layer = keras.layers.Dense(1)
    layer.build((None, 3))
    weights = [np.asarray(w.numpy(), np.float64) for w in layer.weights]
    assert sorted(map(tuple, np.concatenate([one["x"], other["x"]]).round(4).tolist())) == sorted(
        map(tuple, features.astype(np.float32).round(4).tolist())
    )
    speed = [np.zeros_like(w) for w in weights]
    losses = []
    for _ in range(3):
        for rows in (slice(10), slice(10, 20)):
            x, y = (np.concatenate([seen[name][rows] for seen in (one, other)]) for name in ("x", "y"))
            wrong = x @ weights[0] + weights[1] - y
            losses.append(float((wrong**2).mean()))
            gradients = [2 * x.T @ wrong / len(x), 2 * wrong.mean(axis=0)]
            speed = [0.9 * v - 0.01 * g for v, g in zip(speed, gradients, strict=True)]
            weights = [w + v for w, v in zip(weights, speed, strict=True)]
    for number, weight in enumerate(weights):
        np.testing.assert_allclose(one[str(number)], weight, rtol=1e-4)
    np.testing.assert_allclose(one["losses"], losses[1::2], rtol=1e-4)  # of each epoch's last step, over both ranks


def test_epochs_of_a_loop_are_in_the_record(loops: tuple[RunDir, Any]) -> None:
    run, _ = loops
    assert (run.read_result() or {})["epochs"] == 3 + 2 + 2
    first = next(iter(read_lines(run.epochs(1))))
    assert (first["samples"], first["steps"], first["validation"]) == (20, 2, {"rank": 0.5})
    assert 0 < first["seconds_total"] < 60
    assert first["seconds_evaluation"] >= 0
    provenance = read_json(run.provenance) or {}
    assert (provenance["global_batch_size"], provenance["samples"]) == (20, 40)
    assert provenance["model"] == {"parameters": 4, "trainable": 4, "tensors": 2}


def test_data_of_unknown_length_is_divided_into_equal_parts(loops: tuple[Any, dict[str, list[Seen]]]) -> None:
    """Of 37 samples each rank gets 18, one after the other; of 5 batches 3, the first of them twice."""
    x = np.random.default_rng(11).normal(1.0, 2.0, (40, 3)).astype(np.float32)
    for rank in (0, 1):
        assert np.array_equal(loops[1]["unknown_length"][rank]["x"], x[rank:36:2])
    batches = [seen["x"] for seen in loops[1]["pydataset"]]
    assert np.array_equal(batches[0], x.reshape(5, 8, 3)[[0, 2, 4]])
    assert np.array_equal(batches[1], x.reshape(5, 8, 3)[[1, 3, 0]])


def test_numbers_are_gathered_and_averaged_and_differences_named(loops: tuple[Any, dict[str, list[Seen]]]) -> None:
    for seen in loops[1]["numbers"]:
        assert seen["plain"] == 0.0  # a variable of TensorFlow's own has rank 0's value
        assert seen["gathered"].tolist() == [[0, 1, 2], [10, 11, 12]]
        assert (float(seen["mean_a"]), seen["mean_b"].tolist()) == (0.5, [1.0, 1.5])
        assert "the ranks' arrays have different shapes: (1,), (2,)" in str(seen["refused"])
        assert "rank 1 of 2 differ from rank 0" in str(seen["refused"])
    assert "XLA cannot compile Horovod's operations" in str(loops[1]["xla"][0]["hint"])


def test_a_script_of_tensorflows_own_strategy_finds_its_workers(submit: Submit, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    script = USER / "script_workers.py"
    result = submit(run.path, 2, "--strategy", "multiworker", "--", sys.executable, script, timeout=240)
    assert result.returncode == 0, result.stdout + result.stderr
    assert sorted(line for line in result.stdout.splitlines() if line.startswith("worker ")) == [
        "worker 0 of 2: 11",
        "worker 1 of 2: 11",
    ]
    assert "note" not in (run.read_result() or {})


# Several trainings in one script


@pytest.fixture(scope="module")
def fits(submit: Submit, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, dict[str, list[Seen]]]:
    """Return the record of script_fits.py with two ranks, and of each training what each rank saw."""
    folder = tmp_path_factory.mktemp("fits")
    run = RunDir(folder / "run")
    result = submit(run.path, 2, "--", sys.executable, USER / "script_fits.py", folder, timeout=240)
    assert result.returncode == 0, result.stdout + result.stderr
    names = ("batch_norm", "two_fits", "early_stopping", "float16")
    return run, {name: [np.load(folder / f"{name}.rank{rank}.npz") for rank in (0, 1)] for name in names}


@pytest.mark.parametrize("name", ["batch_norm", "two_fits", "early_stopping", "float16"])
def test_every_fit_leaves_the_same_weights_on_both_ranks(name: str, fits: tuple[Any, dict[str, list[Seen]]]) -> None:
    assert same_weights(*fits[1][name])


def test_within_an_epoch_the_run_says_where_it_stands(fits: tuple[Any, dict[str, list[Seen]]]) -> None:
    run, seen = fits
    said = [json.loads(text) for text in seen["two_fits"][0]["progress"]]
    where = [(one["epoch"], one["epochs"], one["step"], one["steps"]) for one in said]
    # one epoch of the script's first fit, then one and two of its second; writes within a second are left out
    assert where[:2] == [(2, 2, 1, 4), (3, 4, 1, 4)]
    assert not run.progress.exists()


def test_batch_normalisation_in_fit_averages_the_ranks_statistics(fits: tuple[Any, dict[str, list[Seen]]]) -> None:
    seen = fits[1]["batch_norm"]
    assert all(len(one["x"]) == 20 for one in seen)
    mean = np.mean([one["x"].mean(axis=0) for one in seen], axis=0)
    variance = np.mean([one["x"].var(axis=0) for one in seen], axis=0)
    np.testing.assert_allclose(seen[0]["2"], 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(seen[0]["3"], 0.9 + 0.1 * variance, rtol=1e-5)


def test_early_stopping_sees_the_average_and_stops_all_ranks_in_one_epoch(
    fits: tuple[Any, dict[str, list[Seen]]],
) -> None:
    losses, others = (seen["val_loss"].tolist() for seen in fits[1]["early_stopping"])
    assert losses == others
    assert 1 < len(losses) < 30
    assert losses[-1] >= losses[-2]
    assert all(later < earlier for earlier, later in pairwise(losses[:-1]))


def test_all_ranks_skip_the_step_in_which_one_overflows(fits: tuple[Any, dict[str, list[Seen]]]) -> None:
    for seen in fits[1]["float16"]:
        assert seen["scale"] == 2**14  # halved once, from 2**15
        assert seen["steps"] == 3  # of 4
        assert np.isfinite(seen["0"]).all()


def test_epochs_of_several_fits_count_on_in_one_record(fits: tuple[RunDir, Any]) -> None:
    run, seen = fits
    epochs = 1 + (1 + 2) + len(seen["early_stopping"][0]["val_loss"]) + 1
    assert (run.read_result() or {})["epochs"] == epochs
    for rank in (0, 1):
        assert [line["epoch"] for line in read_lines(run.epochs(rank))] == list(range(1, epochs + 1))
