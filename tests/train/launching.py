"""Words for command lines, and the types of the fixtures that start things. Imports nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess, Popen

from hpcnn.rundir.layout import RunDir
from hpcnn.specs.fields import given
from hpcnn.specs.train import TrainSpec

ROOT = Path(__file__).parents[2]
# Jobs start here, where the models and data sets of own.py are found.
USER = Path(__file__).parents[1] / "user"
HPCNN = Path(sys.executable).with_name("hpcnn")

Command = Callable[..., "CompletedProcess[str]"]
Process = Callable[..., "Popen[str]"]
Submit = Callable[..., "CompletedProcess[str]"]
Train = Callable[[TrainSpec], RunDir]
Trained = Callable[[str], Path]


def options_of(spec: TrainSpec) -> list[str]:
    """Return the command-line options of a training."""
    words = []
    for name, value in given(spec).items():
        option = {"model_args": "--model-arg", "data_args": "--data-arg"}.get(name, "--" + name.replace("_", "-"))
        if isinstance(value, dict):
            words += [word for key, item in value.items() for word in (option, f"{key}={item}")]
        elif isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        else:
            words += [option, str(value)]
    return words
