"""Kinds of work with TensorFlow: trainings that keep networks, scripts, ranks, exports, tuning.

Forks of this process train, which has loaded TensorFlow; what job scripts start, forks of the server of warm starts.
"""

from __future__ import annotations

import os
import runpy
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from hpcnn.parallel.base import INTER_OP
from hpcnn.rundir.layout import RunDir
from hpcnn.sites.load import read_profile
from tests.faults.commands import COMPLETED, convert, convert_forced, or_resume
from tests.faults.kinds import Action, Kind, Wrong, files, training_facts
from tests.faults.process import hpcnn, run

EPOCHS = 2
SMALL = ("--model", "scinet-dense-tanh", "--data", "digits", "--samples", 128, "--epochs", EPOCHS)
SCRIPT = f"""
import keras, hpcnn
from hpcnn.data.registry import load
run = hpcnn.init()
data = load("digits")
keras.utils.set_random_seed(1)
layers = [keras.Input(data.x_train.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
model = keras.Sequential(layers)
model.compile(run.distribute(keras.optimizers.SGD(0.01)), "sparse_categorical_crossentropy", metrics=["accuracy"])
x, y = data.x_train[:256] / 16, data.y_train[:256]
options = dict(batch_size=64, epochs={EPOCHS}, shuffle=False, verbose=0, validation_data=(x, y))
model.fit(x, y, **options, callbacks=run.callbacks())
"""
LOOP = """
import hpcnn
run = hpcnn.init()
for number in range(3):
    with run.epoch(samples=256, batch_size=64) as epoch:
        epoch.log(loss=1 / (1 + number), val_loss=0.5, val_accuracy=number / 4)
"""
# What a training says that is begun again with --resume.
_FINISHED = ("already holds a finished run", *COMPLETED)


def kinds(place: Path) -> list[Kind]:
    """Return the kinds that train in forks of this process."""
    return [
        Kind("Keras, all networks kept", _train("--checkpoint", "--resume"), _facts, done=_FINISHED),
        Kind("Keras, the best kept", _train("--checkpoint-best", "--tensorboard", "--resume"), _facts, done=_FINISHED),
        Kind(
            "Keras to a target", _train("--checkpoint", "--target-accuracy", 0.01, "--resume"), _facts, done=_FINISHED
        ),
        Kind("a script", _script, _facts, _written(SCRIPT), done=_FINISHED),
        Kind("a script with a loop", _script, _facts, _written(LOOP), done=_FINISHED),
        Kind(
            "data convert tfrecord",
            convert("tfrecord:{}/digits"),
            files,
            again=convert_forced("tfrecord:{}/digits"),
        ),
        Kind("export", _export(place), lambda folder: sorted(files(folder)), again=_export_again(place)),
        Kind("plot confusion", _confusion(place), lambda folder: sorted(files(folder))),
    ]


def rank_kinds() -> list[Kind]:
    """Return the kinds whose ranks and jobs are processes of their own."""
    return [
        Kind("2 ranks", _ranks, _facts, again=or_resume(_ranks), done=COMPLETED),
        Kind("tune", _tune, _profile, before=_no_config),
    ]


def _ranks(folder: Path) -> Action:
    job = ("--site", "local", "--strategy", "horovod", "--cpus-per-task", 1, "--ntasks", 2)
    return hpcnn("submit", "--run-dir", folder / "run", *job, *SMALL, "--checkpoint")


def _train(*more: object) -> Callable[[Path], Action]:
    return lambda folder: hpcnn("train", *SMALL, *more, "--run-dir", folder / "run")


def _written(text: str) -> Callable[[Path], None]:
    """Return what writes a script; a full disk has it already."""

    def before(folder: Path) -> None:
        (folder / "script.py").write_text(text)

    return before


def _script(folder: Path) -> Action:
    def action() -> None:
        import atexit

        (folder / "run").mkdir(exist_ok=True)
        os.environ |= {"HPCNN_RUN_DIR": str(folder / "run"), "HPCNN_RESUME": "1"}
        if RunDir(folder / "run").read_result() is None:
            try:
                runpy.run_path(str(folder / "script.py"), run_name="__main__")
            except Exception as error:  # as Python ends a script
                sys.excepthook(type(error), error, error.__traceback__)
                raise SystemExit(1) from None
            finally:
                atexit._run_exitfuncs()

    return action


def _facts(folder: Path) -> object:
    run_dir = folder / "run"
    for network in RunDir(run_dir).networks().values():  # not by Keras: forks need a TensorFlow that has not computed
        with zipfile.ZipFile(network) as content:
            if content.testzip() is not None:
                raise Wrong(f"{network}: half a file")
    status, epochs, test, problem, rows, networks = training_facts(run_dir)
    return status, epochs, _rounded(test), problem, _rounded(rows), networks


def _rounded(numbers: object) -> object:
    """Round what ranks add up, whose order is not the same in every training."""
    if isinstance(numbers, dict):
        return {key: _rounded(number) for key, number in numbers.items()}
    if isinstance(numbers, (list, tuple)):
        return [_rounded(number) for number in numbers]
    return f"{numbers:.5g}" if isinstance(numbers, float) else numbers


def trained(place: Path) -> Path:
    """Return a training that has kept its network, done once."""
    folder = place / "trained"
    if not folder.exists():
        ended = run(hpcnn("train", *SMALL, "--checkpoint", "--run-dir", folder), place)
        if ended.status:
            raise AssertionError(ended.output)
    return folder


def _export(place: Path, *more: object) -> Callable[[Path], Action]:
    return lambda folder: hpcnn("export", trained(place), "--output", folder / "network.keras", *more)


def _export_again(place: Path) -> Callable[[Path, str], Action]:
    return lambda folder, said: _export(place, "--force")(folder)


def _confusion(place: Path) -> Callable[[Path], Action]:
    return lambda folder: hpcnn("plot", "confusion", trained(place), "--output", folder / "confusion.png")


def _no_config(folder: Path) -> None:
    (folder / "config").mkdir()


def _profile(folder: Path) -> object:
    """Return nothing: whether a setting is faster is not always the same. The profile must be a whole one."""
    for file in folder.glob("config/sites/*.toml"):
        read_profile(file)
    return None


def _tune(folder: Path) -> Action:
    def action() -> None:
        os.environ["HPCNN_CONFIG"] = str(folder / "config")
        words = ("--steps", 1, "--repeats", 1, "--setting", INTER_OP)
        hpcnn("tune", "--model", "scinet-dense-tanh", "--data", "digits", *words, "--folder", folder / "trials")()

    return action
