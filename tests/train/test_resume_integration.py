"""A training that is stopped and resumed ends as if nothing had happened: by a file, by signals, by Slurm's wrapper."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_lines
from tests.train.cases import IS_LONG, MOMENTUM, STOPPED
from tests.train.launching import USER, Command, Process, Submit, Trained, options_of
from tests.train.test_same_weights_integration import difference, last_weights

LONG = replace(MOMENTUM, model="psc-cnn-dropout", model_args={"numfm": 8}, samples=1000, batch_size=10, epochs=4)


def epochs_of(run: RunDir, rank: int = 0) -> list[dict[str, Any]]:
    """Return what one rank recorded of its epochs, without times and what the process used."""
    records = list(read_lines(run.epochs(rank)))
    measured = ("seconds", "step_", "steps_timed", "usage")
    return [{key: value for key, value in line.items() if not key.startswith(measured)} for line in records]


def close(one: Any, other: Any) -> bool:
    """Whether two records hold the same numbers, but for rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    return bool(one == pytest.approx(other, rel=1e-4))


@pytest.mark.mpi
@pytest.mark.slow
@pytest.mark.parametrize(("setup", "case"), [(setup, case) for setup in STOPPED for case in STOPPED[setup]])
def test_stopped_and_resumed_it_trains_the_same_weights(setup: str, case: str, trained: Trained) -> None:
    whole, stopped = trained(setup) / case, trained(setup) / f"{case}~"
    # 3 full batches and a smaller one an epoch: stopped between them, and after the last
    assert int((stopped / "attempts").read_text()) > 2
    assert difference(last_weights(whole), last_weights(stopped)) <= 1e-6

    result = RunDir(stopped).read_result()
    assert result is not None
    assert (result["status"], result["epochs"]) == ("completed", MOMENTUM.epochs)
    ours, theirs = epochs_of(RunDir(stopped)), epochs_of(RunDir(whole))
    assert [line.pop("resumed", False) for line in ours] == [True, IS_LONG]
    assert close(dict(enumerate(ours)), dict(enumerate(theirs)))
    assert not RunDir(stopped).state.exists()


def _begin(hpcnn_process: Process, run: RunDir, *words: str) -> Any:
    """Start a training and wait until it is under way."""
    process = hpcnn_process("train", "--run-dir", run.path, *options_of(LONG), *words, cwd=USER)
    end = time.monotonic() + 60
    while not (run.events.exists() and '"run_start"' in run.events.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
def test_a_signal_makes_it_stop_with_status_75_and_resume_goes_on(
    hpcnn_process: Process, hpcnn: Command, tmp_path: Path, number: signal.Signals
) -> None:
    run = RunDir(tmp_path / "run")
    process = _begin(hpcnn_process, run)
    process.send_signal(number)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 75, out + err
    result = run.read_result()
    assert result is not None
    assert (result["status"], result["exit_code"]) == ("interrupted", 75)
    assert number.name in result["reason"]
    before = len(list(read_lines(run.events)))

    refused = hpcnn("train", "--run-dir", run.path, *options_of(LONG), cwd=USER)
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    other = hpcnn("train", "--run-dir", run.path, *options_of(replace(LONG, batch_size=20)), "--resume", cwd=USER)
    assert other.returncode == 2
    assert "--batch-size: 20" in other.stderr
    assert "10, with which the run began" in other.stderr

    resumed = hpcnn("train", "--run-dir", run.path, *options_of(LONG), "--resume", cwd=USER)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on in epoch" in resumed.stdout
    assert [line["epoch"] for line in epochs_of(run)] == [1, 2, 3, 4]
    events = list(read_lines(run.events))
    assert len(events) > before
    assert "resumed" in [event["key"] for event in events]
    seconds = [event["seconds"] for event in events]
    assert seconds == sorted(seconds)
    again = hpcnn("train", "--run-dir", run.path, *options_of(LONG), "--resume", cwd=USER)
    assert again.returncode == 2
    assert "finished run" in again.stderr


@pytest.mark.slow
def test_a_killed_training_that_kept_its_state_goes_on_after_the_last_epoch(
    hpcnn_process: Process, hpcnn: Command, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    process = _begin(hpcnn_process, run, "--resume")
    while not run.state.exists():
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert hpcnn("train", "--run-dir", run.path, *options_of(LONG), cwd=USER).returncode == 2
    resumed = hpcnn("train", "--run-dir", run.path, *options_of(LONG), "--resume", cwd=USER)
    assert resumed.returncode == 0, resumed.stderr
    assert [line["epoch"] for line in epochs_of(run)] == [1, 2, 3, 4]
    assert "resumed" not in epochs_of(run)[-1]


@pytest.mark.slow
def test_a_state_that_is_damaged_is_refused_and_kept(hpcnn: Command, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    run.state.write_bytes(b"PK\x03\x04 no archive")
    damaged = hpcnn("train", "--run-dir", run.path, *options_of(LONG), "--resume", cwd=USER)
    assert damaged.returncode == 2
    assert "is no state of a training" in damaged.stderr
    assert run.state.exists()


@pytest.mark.mpi
@pytest.mark.slow
def test_a_signal_to_one_rank_stops_all_and_another_world_size_is_refused(
    submit: Submit, hpcnn: Command, hpcnn_process: Process, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    words = ("submit", "--run-dir", run.path, "--ntasks", "2", "--cpus-per-task", "1", *options_of(LONG))
    process = hpcnn_process(*words, cwd=USER)
    end = time.monotonic() + 60
    while not (run.events.exists() and '"run_start"' in run.events.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    pid = json.loads(run.provenance.read_text())["hosts"][1]["pid"]
    os.kill(pid, signal.SIGUSR2)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 75, out + err
    result = run.read_result()
    assert result is not None
    assert (result["status"], "SIGUSR2 at rank 1" in result["reason"]) == ("interrupted", True)
    alone = hpcnn("train", "--run-dir", run.path, *options_of(replace(LONG, strategy="serial")), "--resume", cwd=USER)
    assert alone.returncode == 2
    assert "--strategy" in alone.stderr


@pytest.mark.mpi
@pytest.mark.slow
def test_a_users_script_stops_in_an_epoch_and_does_it_again_when_resumed(
    submit: Submit, hpcnn: Command, hpcnn_process: Process, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    words = ("--ntasks", "2", "--cpus-per-task", "1", "--", sys.executable, USER / "script_long.py")
    process = hpcnn_process("submit", "--run-dir", run.path, *words, cwd=USER)
    end = time.monotonic() + 60
    while not (run.epochs(1).exists() and len(list(read_lines(run.epochs(1)))) >= 2):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    run.stop.write_text("a test")
    out, err = process.communicate(timeout=180)
    assert process.returncode == 75, out + err
    assert "the whole script was run" not in out
    result = run.read_result()
    assert result is not None
    assert result["status"] == "interrupted"
    assert "a test" in result["reason"]
    done = result["epochs"]
    assert 2 <= done < 6
    assert [line["epoch"] for line in epochs_of(run, 1)] == list(range(1, done + 1))

    resumed = hpcnn("resume", run.path, cwd=USER)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    # 20 steps an epoch of each rank: no step was done twice, and the optimizer's count went on
    assert resumed.stdout.count("the whole script was run; 120.0 steps") == 2
    for rank in (0, 1):
        records = epochs_of(run, rank)
        assert [line["epoch"] for line in records] == list(range(1, 7))
        assert [line["epoch"] for line in records if line.get("resumed")] == [done + 1]
    assert (run.read_result() or {})["status"] == "completed"
    assert not run.state.exists()


@pytest.mark.slow
def test_a_stopped_run_of_a_study_goes_on_when_the_study_is_run_again(
    hpcnn: Command, hpcnn_process: Process, tmp_path: Path
) -> None:
    study = tmp_path / "tiny.toml"
    study.write_text(
        '[train]\nmodel = "psc-cnn-dropout"\ndata = "digits"\nsamples = 1000\nbatch_size = 10\nepochs = 4\n'
        "[axes]\nntasks = [1]\n"
    )
    words = ("study", "run", study, "--runs", tmp_path / "runs")
    process = hpcnn_process(*words)
    end = time.monotonic() + 60
    while not list(tmp_path.glob("runs/tiny/*/epochs.rank00000.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    (folder,) = (tmp_path / "runs" / "tiny").glob("*/")
    run = RunDir(folder)
    run.stop.write_text("a test")
    out, err = process.communicate(timeout=180)
    assert process.returncode == 1, out + err
    assert (run.read_result() or {})["status"] == "interrupted"
    again = hpcnn(*words)
    assert again.returncode == 0, again.stderr
    assert [line["epoch"] for line in epochs_of(run)] == [1, 2, 3, 4]
    assert "resumed" in [event["key"] for event in read_lines(run.events)]
    assert [path.name for path in folder.parent.glob("*/")] == [folder.name]
