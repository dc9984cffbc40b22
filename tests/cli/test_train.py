"""``hpcnn train`` as it is typed by hand: mistakes are cheap, and a serial run needs no job script."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_lines


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty directory to work in, and no settings but its own."""
    for name in [name for name in os.environ if name.startswith("HPCNN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HPCNN_DATA", str(tmp_path / "data"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch-size", "0"], "--batch-size: 0 is not valid; expected at least 1."),
        (["--learning-rate", "inf"], "--learning-rate: inf is not valid; expected a finite number."),
        (["--target-accuracy", "2"], "--target-accuracy: 2.0 is not valid; expected at most 1."),
        (["--model-arg", "numfm"], "--model-arg: 'numfm' is not valid; expected KEY=VALUE."),
        (["--devices", "2"], "--devices: 2 is not valid; expected no value unless --strategy is mirrored."),
        (["--model", "scinet-cnn3"], "--model: 'scinet-cnn3' is not known. Did you mean 'scinet-cnn2'? Valid: "),
        (["--data", "digit"], "--data: 'digit' is not known. Did you mean 'digits'? Valid: "),
        (["--data", "mnist"], "--data: 'mnist' is not staged: "),
    ],
)
def test_a_mistake_is_said_before_anything_is_loaded_or_written(words, message, here):
    code = "import sys; from hpcnn.cli.main import main\ntry: main()\nfinally: print('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", code, "train", "--run-dir", "run", *words]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith(f"Error: {message}")
    assert result.stdout == "False\n"
    assert not list(here.iterdir())


def test_the_run_directory_must_be_named():
    result = CliRunner().invoke(main, ["train"])
    assert result.exit_code == 2
    assert "Missing option '--run-dir'" in result.stderr


def test_a_finished_run_is_left_as_it_is(here):
    run = RunDir(here / "run")
    run.create()
    run.write_result("completed", exit_code=0)
    before = run.result.read_bytes()
    result = CliRunner().invoke(main, ["train", "--run-dir", "run"])
    assert result.exit_code == 2
    assert f"'{here}/run' already holds a finished run" in result.stderr
    assert [file.read_bytes() for file in (here / "run").iterdir()] == [before]


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
