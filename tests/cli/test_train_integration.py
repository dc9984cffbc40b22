"""``hpcnn train`` as it is typed by hand: a serial run needs no job script."""

import json
import subprocess
import sys
from pathlib import Path

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_lines


def test_one_rank_by_hand(here):
    words = ["--run-dir", "run", "--epochs", "2", "--samples", "200", "--model-arg", "numfm=4", "--no-evaluate"]
    result = subprocess.run([sys.executable, "-m", "hpcnn", "train", *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].startswith("scinet-cnn1 (")
    assert lines[1].startswith("devices: ")
    assert [line.split("  ")[0] for line in lines[2:-1]] == ["epoch 1/2", "epoch 2/2"]
    assert lines[-1].startswith("test: loss ")
    run = RunDir(Path("run"))
    assert run.read_result()["status"] == "completed"
    assert [line["epoch"] for line in read_lines(run.epochs(0))] == [1, 2]
    asked = json.loads(run.spec.read_text())["train"]
    assert (asked["epochs"], asked["samples"], asked["model_args"], asked["evaluate"]) == (2, 200, {"numfm": 4}, False)
