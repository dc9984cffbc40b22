"""``hpcnn study run`` with real trainings, and interrupted by a signal."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_lines
from tests.cli.studying import listed, ran, statuses, study_run


class TestRun:
    def test_interrupted_and_resumed(self, quick, here):
        planned = list(listed(quick))
        (here / "order2").write_text("wait")
        command = [sys.executable, "-m", "hpcnn", "study", "run", quick]
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 30
        while not (here / "ran").exists() or ran() != [1, 2]:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "interrupted; the same command goes on with what is missing" in errors
        assert "Traceback" not in errors
        assert statuses() == {planned[0]: "completed", planned[1]: "interrupted"}
        first = (here / "runs" / "quick" / planned[0] / "result.json").stat().st_mtime_ns

        (here / "order2").unlink()
        result = study_run(quick)
        assert result.exit_code == 0
        assert result.stderr.startswith("quick: 4 runs, 1 already finished, in ")
        assert ran() == [1, 2, 2, 1, 2]
        assert statuses() == {**dict.fromkeys(planned, "completed"), f"{planned[1]}~1": "interrupted"}
        assert (here / "runs" / "quick" / planned[0] / "result.json").stat().st_mtime_ns == first


@pytest.mark.slow
@pytest.mark.mpi
def test_a_real_study(here):
    """One and two real ranks, trained from a study file to records that a report can read."""
    words = ("smoke", "--set", "repeats=1", "--set", "epochs=2", "--set", "samples=1437")
    planned = list(listed(*words))
    result = study_run(*words)
    assert result.exit_code == 0, result.stderr
    for ntasks, name in enumerate(planned, 1):
        run = RunDir(here / "runs" / "smoke" / name)
        assert run.read_result()["status"] == "completed"
        assert [rank for rank, _ in run.epoch_files()] == list(range(ntasks))
        for _, file in run.epoch_files():
            assert [line["epoch"] for line in read_lines(file)] == [1, 2]
        assert json.loads(run.provenance.read_text())["world_size"] == ntasks
    assert set(listed(*words).values()) == {"finished"}


WANTS_GPU = """
name = "both"
kind = "throughput"

[train]
samples = 64
epochs = 1
evaluate = false

[[points]]
nodes = 1

[[points]]
gpus_per_node = 1
"""


@pytest.mark.slow
@pytest.mark.skipif(Path("/dev/kfd").exists() or Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
def test_what_asks_for_gpus_is_left_out_where_there_is_none(here, monkeypatch, hpcnn):
    (here / "both.toml").write_text(WANTS_GPU)
    ended = hpcnn("study", "run", "both.toml")
    assert ended.returncode == 0, ended.stderr
    assert "left out: 1 of 2 runs ask for GPUs, and this machine has none" in ended.stderr
    assert sorted(listed(here / "both.toml").values()) == ["finished", "missing"]
    # a driver that sees a GPU which TensorFlow does not
    driver = here / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\necho NVIDIA H100\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{driver.parent}{os.pathsep}{os.environ['PATH']}")
    ended = hpcnn("study", "run", "both.toml")
    assert ended.returncode == 1
    assert "the job asked for GPUs (1 a node), and TensorFlow sees none" in ended.stderr
