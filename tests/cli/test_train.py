"""``hpcnn train`` as it is typed by hand: mistakes are cheap."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir

pytestmark = pytest.mark.usefixtures("here")


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
