"""A rank that dies ends the job: the others must not wait for it until the time limit, nor the record stay open."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_json, read_lines
from tests.train.cases import MOMENTUM
from tests.train.launching import USER, Process, Submit, options_of

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

ENDLESS = replace(MOMENTUM, strategy="horovod", epochs=1_000_000, checkpoint=False)
SECONDS_TO_END = 15


def wait_for(what: Callable[[], Any], seconds: float = 120.0) -> None:
    """Return as soon as ``what`` is true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs (one that nobody has waited for yet does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before the open, or before the read
        return False


@pytest.fixture
def training(hpcnn_process: Process, tmp_path: Path) -> tuple[Any, RunDir, list[int]]:
    """Return a job of two ranks in the middle of training: the command's process, the run, the ranks' process ids."""
    run = RunDir(tmp_path / "run")
    words = ("submit", "--quiet", "--run-dir", run.path, "--ntasks", 2, "--cpus-per-task", 1, *options_of(ENDLESS))
    process = hpcnn_process(*words, cwd=USER)
    wait_for(lambda: run.epochs(1).exists() and len(list(read_lines(run.epochs(1)))) >= 2)
    hosts = (read_json(run.provenance) or {})["hosts"]
    return process, run, [host["pid"] for host in hosts]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank(rank: int, training: tuple[Any, RunDir, list[int]]) -> None:
    process, run, pids = training
    os.kill(pids[rank], signal.SIGKILL)
    killed = time.monotonic()
    _, errors = process.communicate(timeout=180)

    assert time.monotonic() - killed < SECONDS_TO_END
    assert process.returncode == 128 + signal.SIGKILL
    assert "ended by SIGKILL" in errors
    result = run.read_result() or {}
    assert (result["status"], result["exit_code"]) == ("failed", 128 + signal.SIGKILL)
    assert result["reason"] == "ended by SIGKILL"
    wait_for(lambda: not any(map(alive, pids)), SECONDS_TO_END)


def test_an_interrupted_command_ends_its_ranks(training: tuple[Any, RunDir, list[int]]) -> None:
    process, run, pids = training
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=180)

    assert process.returncode == 130
    assert (run.read_result() or {})["status"] == "interrupted"
    wait_for(lambda: not any(map(alive, pids)), SECONDS_TO_END)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (replace(ENDLESS, model="own:fails_in_training", model_args={}, epochs=20), "made to fail in the middle"),
        (
            replace(
                ENDLESS, model="own:ridge", model_args={}, data="own:missing_on_rank_1", samples=None, test_samples=None
            ),
            "OSError: no such file on this node",
        ),
    ],
    ids=["in training", "before training"],
)
def test_an_exception_on_one_rank(spec: Any, reason: str, submit: Submit, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    result = submit(run.path, 2, *options_of(spec), timeout=240)

    assert result.returncode == 1
    assert (run.read_result() or {})["status"] == "failed"
    assert (run.read_result() or {})["reason"].startswith("rank 1: ")
    assert reason in (run.read_result() or {})["reason"]
    (failure,) = run.failures()
    assert failure["rank"] == 1
    assert "own.py" in failure["traceback"]
    assert reason in result.stdout
