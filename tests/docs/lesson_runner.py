"""Runs every ``hpcnn`` command of lesson pages in one process, trainings in a short mode, and says how each ended.

``python -m tests.docs.lesson_runner OUT PAGE...``, in an empty folder. One process, because a page has twenty commands
and importing TensorFlow takes seconds. The staged data sets are stand-ins of random pixels in the form of the real
ones, so that the commands run as they are shown; figures are not looked at. Of the trainings that turn a knob (runs/k1
and so on) the options are checked and the network is built. OUT becomes a JSON object: page -> list of [command, exit
status, last lines printed].
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import click.testing
import numpy as np

from tests.docs.documents import blocks, commands

TRAIN, TEST = 48, 24
# The least that still goes through everything. Given last, these win over the page's own.
SHORT = ["--samples", str(TRAIN), "--test-samples", str(TEST), "--epochs", "2", "--batch-size", "24"]


def stage(folder: Path) -> None:
    """Write stand-ins for the data sets that the pages name."""
    from hpcnn.zoo.catalogue import describe

    folder.mkdir()
    random = np.random.default_rng(1)
    for name in ("mnist", "fashion_mnist", "cifar10"):
        entry = describe(name)
        labels = random.permutation(np.arange(TRAIN + TEST) % entry.classes)
        labels[: len(entry.first_labels)] = entry.first_labels
        images = random.integers(0, 256, (TRAIN + TEST, *entry.shape)).astype(np.uint8)
        parts = {
            "x_train": images[:TRAIN],
            "y_train": labels[:TRAIN],
            "x_test": images[TRAIN:],
            "y_test": labels[TRAIN:],
        }
        np.savez(folder / f"{name}.npz", **parts)


def short(words: list[str]) -> list[str]:
    """Return the words of a command as it is run: a training with little data, for an epoch."""
    if words[0] != "train":
        return words
    points = words[words.index("--data") + 1] in ("beach", "blobs", "circles")
    return [*words, *(["--epochs", "20"] if points else SHORT)]


def main(out: str, *pages: str) -> None:
    """Run the pages one after the other, each in a folder of its own."""
    from hpcnn.cli.main import main as hpcnn
    from hpcnn.parallel.base import TaskEnvironment
    from hpcnn.parallel.devices import set_threads

    # As each training will: TensorFlow takes it once, and the first command may build a model.
    set_threads(TaskEnvironment())
    here = Path.cwd()
    stage(here / "data")
    os.environ["HPCNN_DATA"] = str(here / "data")
    found = {}
    for page in pages:
        folder = here / Path(page).stem
        folder.mkdir()
        os.chdir(folder)
        texts = [c.text for b in blocks(Path(page)) if b.language == "console" for c in commands(b)]
        found[page] = [(text, *_ended(hpcnn, text)) for text in texts]
    (here / out).write_text(json.dumps(found), encoding="utf-8")


def _ended(hpcnn: click.Command, text: str) -> tuple[int, str]:
    import keras

    program, *words = shlex.split(text)
    assert program == "hpcnn", text
    keras.backend.clear_session()
    if re.search(r" runs/k\d ", text):
        _check_knob(words)
        words = ["models"]
    result = click.testing.CliRunner().invoke(hpcnn, short(words))
    return result.exit_code, f"{result.output[-500:]}{result.exception or ''}"


def _check_knob(words: list[str]) -> None:
    """Build the network of a training that turns a knob, with its optimizer, and leave out the training."""
    from hpcnn.cli.options import given_options, spec_from_options
    from hpcnn.cli.train import command
    from hpcnn.specs.complete import complete
    from hpcnn.specs.train import TrainSpec
    from hpcnn.train.numpy.run import make_network
    from hpcnn.train.setup import build_network, make_optimizer
    from hpcnn.zoo.registry import in_numpy

    with command.make_context("train", words[1:]) as context:
        options = {key: value for key, value in context.params.items() if key not in ("run_dir", "resume")}
        spec = complete(spec_from_options(TrainSpec, given_options(TrainSpec, options)))
    if in_numpy(spec.model):
        make_network(spec, (2,), 2)
    else:
        build_network(spec, (28, 28, 1), 10)
        make_optimizer(spec, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
