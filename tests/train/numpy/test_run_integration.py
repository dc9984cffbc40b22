"""``hpcnn train`` and ``hpcnn submit`` with a network in NumPy, as processes."""

from __future__ import annotations

import signal
from collections.abc import Callable

import numpy as np

from hpcnn.rundir.layout import RunDir


def test_the_command_trains_and_is_submitted(tmp_path, hpcnn: Callable):
    options = ("--model", "scinet-neuron", "--data", "blobs", "--epochs", 200)
    done = hpcnn("train", "--run-dir", tmp_path / "train", *options)
    assert done.returncode == 0, done.stderr
    submitted = hpcnn("submit", "--run-dir", tmp_path / "submit", *options)
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    assert submitted.stdout == (tmp_path / "submit" / "log.out").read_text()
    with np.load(RunDir(tmp_path / "train").weights) as one, np.load(RunDir(tmp_path / "submit").weights) as other:
        assert one.keys() == other.keys()
        assert all((one[name] == other[name]).all() for name in one)


def test_a_signal_stops_it(tmp_path, hpcnn_process: Callable):
    options = ("--model", "scinet-hidden", "--data", "circles", "--epochs", 1_000_000)
    process = hpcnn_process("train", "--run-dir", tmp_path / "run", *options)
    for line in process.stdout:
        if line.startswith("epoch"):
            break
    process.send_signal(signal.SIGUSR2)
    assert process.wait(timeout=180) == 75
    assert "SIGUSR2 at rank 0" in RunDir(tmp_path / "run").read_result()["reason"]
    assert RunDir(tmp_path / "run").state.exists()
