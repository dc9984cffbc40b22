"""Trainings that many tests look at, each done once a session; and trainings inside this process."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from hpcnn.parallel.serial import SingleReplica
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.train import TrainSpec
from tests.parallel.counting import simulated  # noqa: F401
from tests.train.cases import MOMENTUM, SETUPS, STOPPED
from tests.train.launching import ROOT, USER, Command, Submit, Train, Trained, options_of
from tests.train.many_trainings import MASKS
from tests.train.many_trainings import STOPPED as STOPPED_MARK


@pytest.fixture(scope="session")
def submit(hpcnn: Command) -> Submit:
    """Return a function that submits words, with one core a rank and the models of ``own.py`` at hand."""

    def run(run_dir: Path, ntasks: int, *words: object, **options: Any) -> CompletedProcess[str]:
        resources = ("--ntasks", ntasks, "--cpus-per-task", 1)
        return hpcnn("submit", "--run-dir", run_dir, *resources, *words, cwd=USER, **options)

    return run


@pytest.fixture(scope="session")
def trained(submit: Submit, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a function that gives the folder with all trainings of a set-up, and does them when first asked."""

    @functools.cache
    def job(setup: str) -> tuple[Path, CompletedProcess[str]]:
        strategy, ntasks, cases = SETUPS[setup]
        path = tmp_path_factory.mktemp(setup)
        stopped = [f"{case}{STOPPED_MARK}" for case in STOPPED.get(setup, ())]
        program = (
            sys.executable,
            "-m",
            "tests.train.many_trainings",
            strategy,
            path / "trained",
            *cases,
            *stopped,
            MASKS,
        )
        return path / "trained", submit(path / "job", ntasks, "--", *program, PYTHONPATH=str(ROOT))

    def folder(setup: str) -> Path:
        path, result = job(setup)
        assert result.returncode == 0, result.stdout + result.stderr
        return path

    return folder


@pytest.fixture(scope="session")
def alone(hpcnn: Command, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Return the run of a serial ``hpcnn train``, started by hand."""
    run = RunDir(tmp_path_factory.mktemp("alone") / "run")
    result = hpcnn("train", "--run-dir", run.path, *options_of(MOMENTUM))
    assert result.returncode == 0, result.stderr
    return run


@pytest.fixture(scope="session")
def together(submit: Submit, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Return the same run submitted with two ranks and TensorBoard."""
    run = RunDir(tmp_path_factory.mktemp("together") / "run")
    result = submit(run.path, 2, *options_of(replace(MOMENTUM, strategy="horovod", tensorboard=True)))
    assert result.returncode == 0, result.stdout + result.stderr
    return run


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Train]:
    """Return a function that trains serially in this process."""
    import keras

    from hpcnn.train.session import train_under

    monkeypatch.chdir(USER)
    count = 0

    def run(spec: TrainSpec) -> RunDir:
        nonlocal count
        count += 1
        keras.backend.clear_session()
        folder = RunDir(tmp_path / f"run-{count}")
        train_under(SingleReplica(), spec, str(folder.path), log=lambda line: None)
        return folder

    yield run
    keras.config.set_dtype_policy("float32")
