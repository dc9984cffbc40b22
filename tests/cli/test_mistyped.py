"""What hpcnn says of options, commands and choices that do not exist."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main


def said(*words: str) -> str:
    """Return the message of a command that ends with status 2, in one line."""
    done = CliRunner().invoke(main, words, prog_name="hpcnn")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    return done.stderr.removeprefix("Error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("submit", "--epoch", "3"), "'--epochs'? `hpcnn submit --help` lists all "),
        (("submit", "-epochs", "3"), "'--epochs'?"),
        (("submit", "--lr=0.1"), "'--learning-rate'?"),
        (("submit", "--bs", "64"), "'--batch-size'?"),
        (("submit", "--gpus", "2"), "'--gpus-per-node'"),
        (("submit", "--max-epochs", "2"), "'--epochs'?"),
        (("submit", "--no-evaluat"), "'--no-evaluate'"),
        (("study", "run", "--againts", "a=b"), "'--against'? `hpcnn study run --help` lists all "),
        (("--verson",), "'--version'? Valid: --version, --help."),
    ],
)
def test_an_option_that_is_near(words: tuple[str, ...], meant: str) -> None:
    text = said(*words)
    assert text.startswith("option: '-")
    assert f" is not known. Did you mean {meant}" in text
    assert text.partition("?")[0].count("'--") <= 4  # the one that was typed, and three


def test_an_option_of_another_command_says_whose_it_is() -> None:
    assert said("submit", "--set", "epochs=3").endswith("2 more commands have it.")
    assert "`hpcnn study run`, " in said("submit", "--set", "epochs=3")
    assert said("status", "--dry-runs") == said("status", "--dry-runs").partition(" `hpcnn submit`")[0]
    assert said("status", "--weights-except", "x").endswith(" `hpcnn submit`, `hpcnn train` have it.")
    assert said("--weights-except", "x").startswith(
        "option: '--weights-except' is not known. Valid: --version, --help."
    )


def test_slurms_letters_are_said_in_hpcnns_words() -> None:
    assert said("submit", "-N", "2") == "option: '-N' is not known. Slurm's -N is --nodes here."
    assert said("study", "run", "smoke", "-n4") == "option: '-n' is not known. Slurm's -n is --ntasks here."
    assert "Slurm" not in said("models", "-n", "4")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("study", "runn"), "command of hpcnn study: 'runn' is not known. Did you mean 'run'? Valid: list, run, "),
        (("plot", "curve", "x"), "command of hpcnn plot: 'curve' is not known. Did you mean 'curves'? Valid: curves, "),
        (
            ("report",),
            "command: 'report' is not known. Did you mean 'scaling-report' or 'export'? `hpcnn --help` lists",
        ),
        (("submit", "--optimizer", "adem"), "--optimizer: 'adem' is not known. Did you mean 'adam', 'adamw' or "),
        (("models", "--format", "jsn"), "--format: 'jsn' is not known. Did you mean 'json'? Valid: table, json, csv."),
        (("completion", "bsh"), "SHELL: 'bsh' is not known. Did you mean 'bash'? Valid: bash, zsh, fish."),
    ],
)
def test_commands_and_choices(words: tuple[str, ...], text: str) -> None:
    assert said(*words).startswith(text)
