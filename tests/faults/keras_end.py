"""Kill Keras trainings between the state of the last epoch and the end: ``python -m tests.faults.keras_end``.

By ``hpcnn train`` and by a script with ``hpcnn.init()``. Resumed, each has the record of one that nothing disturbed. A
process of its own: TensorFlow is loaded once, and forks train, as those of tests/warm_start do.
"""

from __future__ import annotations

import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.read import read_run
from tests.faults.kills import Wrong
from tests.faults.process import Ended, hpcnn, run

EPOCHS = 2
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


def trained(folder: Path) -> Callable[[], None]:
    words = (
        "train",
        "--model",
        "scinet-dense-tanh",
        "--data",
        "digits",
        "--epochs",
        EPOCHS,
        "--resume",
        "--checkpoint-best",
    )
    return hpcnn(*words, "--run-dir", folder)


def scripted(folder: Path) -> Callable[[], None]:
    def action() -> None:
        import atexit

        folder.mkdir(exist_ok=True)
        os.environ |= {"HPCNN_RUN_DIR": str(folder), "HPCNN_RESUME": "1"}
        file = folder.parent / "script.py"
        file.write_text(SCRIPT)
        runpy.run_path(str(file), run_name="__main__")
        atexit._run_exitfuncs()

    return action


def facts(folder: Path) -> tuple[object, ...]:
    """Return what must be the same whether a training was killed or not."""
    result, read = RunDir(folder).read_result() or {}, read_run(folder)
    epochs = [(row["epoch"], row["loss"], row["validation_loss"]) for row in read.epochs]
    return result.get("status"), result.get("epochs"), result.get("test"), epochs, sorted(RunDir(folder).networks())


def main() -> None:
    """Kill at the last changes of each kind of training."""
    place = Path(tempfile.mkdtemp(prefix="hpcnn-keras-"))
    os.environ |= {"HPCNN_CONFIG": str(place / "config"), "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    import hpcnn.train.keras_fit
    import hpcnn.train.loop  # noqa: F401

    most, kills = int(sys.argv[1]) if len(sys.argv) > 1 else 10, 0
    for what in [kind for kind in (trained, scripted) if kind.__name__ in sys.argv[2:] or not sys.argv[2:]]:
        whole = run(what(place / "oracle"), place)
        right = facts(place / "oracle")
        if whole.status or right[:2] != ("completed", EPOCHS):
            raise Wrong(f"{what.__name__}: {whole}: {right}")
        for number in range(whole.changes, max(whole.changes - most, 0), -1):
            folder = place / "killed"
            shutil.rmtree(folder, ignore_errors=True)
            ended = run(what(folder), place, kill_at=number)
            kills += ended.killed
            before = RunDir(folder).read_result()
            again = Ended(0, "", 0) if before else run(what(folder), place)
            if again.status or facts(folder) != right:
                at = f"{what.__name__}, killed at {number} of {whole.changes}"
                raise Wrong(f"{at}: {facts(folder)}: {again.output}")
            how = "killed" if ended.killed else "ended before"
            print(f"{what.__name__}: {how} at {number} of {whole.changes}: {facts(folder)[:3]}", flush=True)
        shutil.rmtree(place / "oracle")
    print(f"{kills} kills of Keras trainings near their end, 0 records wrong")


if __name__ == "__main__":
    main()
