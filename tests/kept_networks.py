"""Trainings with kept networks, each done once a session, that pictures are made of."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpcnn.cli.options import given_options, spec_from_options
from hpcnn.cli.train import command
from hpcnn.specs.train import TrainSpec
from hpcnn.train.trained import Trained, open_trained

USER = Path(__file__).parent / "user"


@pytest.fixture(scope="session")
def train_kept(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that trains with the words of ``hpcnn train`` and returns the run directory.

    In this process, which has loaded TensorFlow once, and with the devices and threads that it has.
    """
    pytest.importorskip("tensorflow", reason="a training needs TensorFlow (make venv)")
    pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install 'hpcnn[report]'")
    import keras

    from hpcnn.parallel.serial import SingleReplica
    from hpcnn.train.session import train_under

    def run(name: str, *words: object) -> Path:
        path = tmp_path_factory.mktemp("runs") / name
        with command.make_context("train", ["--run-dir", str(path), *map(str, words)]) as context:
            options = {key: value for key, value in context.params.items() if key not in ("run_dir", "resume")}
            spec = spec_from_options(TrainSpec, given_options(TrainSpec, options))
        keras.backend.clear_session()  # names are counted from here, as in a process of its own
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(USER)
            assert train_under(SingleReplica(), spec, str(path), log=lambda line: None)
        return path

    return run


@pytest.fixture(scope="session")
def digits_run(train_kept: Callable[..., Path]) -> Path:
    """Return two epochs of two convolutions on the digits: some 18 of 360 mistakes."""
    return train_kept("digits-run", "--model", "psc-cnn-dropout", "--epochs", 2, "--checkpoint")


@pytest.fixture(scope="session")
def digits_network(digits_run: Path) -> Trained:
    import keras

    keras.backend.clear_session()  # names are counted from here, as in a process of its own
    return open_trained(digits_run)


@pytest.fixture(scope="session")
def own_run(train_kept: Callable[..., Path]) -> Iterator[Path]:
    """Return a run of a user's own network on a user's own images in colour."""
    words = ("--model", "own_images:net", "--data", "own_images:stripes", "--epochs", 1, "--batch-size", 20)
    path = train_kept("own-run", *words, "--checkpoint")
    sys.path.insert(0, str(USER))  # as if this were the folder of the user's modules
    yield path
    sys.path.remove(str(USER))
