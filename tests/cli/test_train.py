"""``hpcnn train`` as it is typed by hand: mistakes are cheap."""

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir

pytestmark = pytest.mark.usefixtures("here")


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
