"""A login node pays for nothing heavy: what each command loads, in one process that calls one after the other.

The contracts of pyproject.toml keep the rooms apart; this looks at what is really loaded, in an interpreter of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpcnn.cli.main import COMMANDS
from tests.synthetic.runs import write_run

ROOT = Path(__file__).parents[2]
# Words of a command, or a module, as one text.
Ended = dict[str, dict[str, Any]]

RANKS = {"tensorflow", "keras", "horovod", "mpi4py", "sklearn"}
HEAVY = RANKS | {"pandas", "matplotlib", "scipy"}

# Called first: what must not even load NumPy.
LIGHT = [
    *("submit --dry-run --ntasks 2", "submit --dry-run -- python x.py", "data list"),
    "submit --dry-run --model psc-cnn-dropout --model-arg d_rate_conv=0.2 --data digits",
    *("predict --help", "scaling-report --help", "--help", "--version"),
]
PLAIN = [
    *("models", "models --format json", "study run smoke --dry-run", "tune --ntasks 2 --dry-run"),
    "record finish --run-dir . --exit-code 0",
    *[f"{name} --help" for name in COMMANDS],
]
MODULES = [
    *("hpcnn.cli.container", "hpcnn.machine.container.build", "hpcnn.machine.container.inside"),
    *("hpcnn.machine.container.compatibility", "hpcnn.train.numpy.run", "hpcnn.train.numpy.surface"),
    "hpcnn.notebook.run",
]
# Mistakes of `hpcnn train`, said before TensorFlow is loaded and anything is written.
MISTAKES = {
    "--batch-size 0": "--batch-size: 0 is not valid; expected at least 1.",
    "--learning-rate inf": "--learning-rate: inf is not valid; expected a finite number.",
    "--target-accuracy 2": "--target-accuracy: 2.0 is not valid; expected at most 1.",
    "--model-arg numfm": "--model-arg: 'numfm' is not valid; expected KEY=VALUE.",
    "--devices 2": "--devices: 2 is not valid; expected no value unless --strategy is mirrored.",
    "--model scinet-cnn3": "--model: 'scinet-cnn3' is not known. Did you mean 'scinet-cnn",
    "--data digit": "--data: 'digit' is not known. Did you mean 'digits'? `hpcnn data list` lists",
    "--data mnist": "--data: 'mnist' is not staged: ",
}
TRAIN = "train --run-dir trained "
REPORT = "scaling-report study"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the commands are called: it holds a study of two runs."""
    folder = tmp_path_factory.mktemp("login")
    for ranks in (1, 2):
        write_run(folder / "study" / f"run-{ranks}", ranks=ranks)
    return folder


@pytest.fixture(scope="module")
def ended(folder: Path) -> Ended:
    """Return how each command ended, and what it loaded."""
    texts = [*LIGHT, *PLAIN, *(TRAIN + words for words in MISTAKES), *MODULES, REPORT]
    items = [text if text in MODULES else text.split() for text in texts]
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.login_node"],
        input=json.dumps(items),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(texts, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("text", LIGHT)
def test_a_command_of_the_login_node_loads_no_arrays(text: str, ended: Ended) -> None:
    assert (ended[text]["status"], ended[text]["errors"]) == (0, "")
    assert not set(ended[text]["loaded"]) & (HEAVY | {"numpy"})


@pytest.mark.parametrize("text", PLAIN)
def test_a_command_of_the_login_node_loads_nothing_heavy(text: str, ended: Ended) -> None:
    assert ended[text]["status"] == 0, ended[text]["errors"]
    assert not set(ended[text]["loaded"]) & HEAVY


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_is_used_without_tensorflow_does_not_load_it(module: str, ended: Ended) -> None:
    assert not set(ended[module]["loaded"]) & HEAVY


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_said_before_anything_is_loaded_or_written(words: str, ended: Ended, folder: Path) -> None:
    mistake = ended[TRAIN + words]
    assert mistake["status"] == 2
    assert mistake["errors"].startswith(f"Error: {MISTAKES[words]}")
    assert not set(mistake["loaded"]) & HEAVY
    assert not (folder / "trained").exists()


def test_a_table_without_pictures_needs_pandas_and_of_scipy_the_intervals_of_ratios(ended: Ended) -> None:
    assert ended[REPORT]["status"] == 0, ended[REPORT]["errors"]
    assert "pandas" in ended[REPORT]["loaded"]
    assert not set(ended[REPORT]["loaded"]) & (HEAVY - {"pandas", "scipy"})


def test_what_is_loaded_is_seen(ended: Ended) -> None:
    assert "hpcnn" in ended[LIGHT[0]]["loaded"]
