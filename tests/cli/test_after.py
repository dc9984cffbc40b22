"""``--after`` of all commands that submit, with a sbatch that writes down what it is given."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from tests.scheduler.commands import Commands

SITE = ("--site", "generic-slurm")
COMMANDS = {
    "submit": ("submit", *SITE, "--run-dir", "run", "--data", "digits"),
    "study": ("study", "submit", "mine.toml", *SITE),
    "search": ("search", "submit", "psc_hparams", *SITE, "--set", "data=digits"),
}


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text('name = "mine"\nprogram = ["true"]\nrepeats = 2\n')


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("test_only", [True, False])
def test_sbatch_gets_it(name: str, test_only: bool, slurm_commands: Commands) -> None:
    if name == "search":
        pytest.importorskip("optuna")
    slurm_commands.squeue()
    slurm_commands.put("sbatch", "7\n")
    words = (*COMMANDS[name], "--after", "1,afterany:2", *(["--test-only"] if test_only else []))
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    (call,) = slurm_commands.calls("sbatch")
    first = "--test-only" if test_only else "--parsable"
    assert call.split()[:3] == [first, "--dependency=afterok:1,afterany:2", "--kill-on-invalid-dep=yes"]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_it_does_not_take_is_said_in_a_dry_run_too(name: str) -> None:
    result = CliRunner().invoke(main, [*COMMANDS[name], "--after", "1,,2", "--dry-run"])
    assert (result.exit_code, "--after: '1,,2' is not valid" in result.stderr) == (2, True)
