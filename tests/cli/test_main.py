"""The ``hpcnn`` command itself: help of every command, what a login node imports, and errors without tracebacks."""

import dataclasses
import re
import sys

import click
import pytest
from click.testing import CliRunner

from hpcnn import __version__
from hpcnn.cli.main import COMMANDS, GROUPS, main
from hpcnn.cli.options import option_name
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.train import TrainSpec
from tests.conftest import BIN


def tree(command, path=()):
    """Return {words: command} of a command and all below it."""
    found = {path: command}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found |= tree(command.get_command(context, name), (*path, name))
    return found


TREE = tree(main)


@pytest.mark.parametrize("words", TREE, ids=lambda words: " ".join(words) or "hpcnn")
def test_help_of_every_command_shows_an_example(words):
    for option in ("--help", "-h"):
        result = CliRunner().invoke(main, [*words, option])
        assert result.exit_code == 0
        usage, _, example = result.stdout.partition("Example")
        assert usage.startswith("Usage: ")
        assert example, "no example"
        # the words of the command, unbroken, as they are typed
        assert "hpcnn " + " ".join(words[:1]) in example


@pytest.mark.parametrize("words", [words for words in TREE if words], ids=" ".join)
def test_every_option_has_words(words):
    for parameter in TREE[words].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize(
    ("words", "cls"),
    [
        ("train", TrainSpec),
        ("submit", TrainSpec),
        *((words, cls) for words in ("submit", "interact") for cls in (Resources, SoftwareSpec)),
    ],
    ids=lambda x: str(x),
)
def test_every_field_is_an_option_with_its_words(words, cls):
    options = {name: p for p in TREE[(words,)].params if isinstance(p, click.Option) for name in p.opts}
    for field in dataclasses.fields(cls):
        option = options[field.metadata["option"] or option_name(field.name)]
        assert option.help.startswith(field.metadata["help"])
        if field.metadata["own"]:
            assert option.help.endswith(f"  {', '.join(field.metadata['choices'])}, or package.module:function.")
        elif field.metadata["choices"]:
            assert tuple(option.type.choices) == field.metadata["choices"]


def test_commands_are_listed_in_groups():
    lines = CliRunner().invoke(main, ["--help"]).stdout.partition("Start here:")[2].partition("Example")[0].splitlines()
    names = [line.split()[0] for line in lines if line[:2] == "  " and line[2:3].strip()]
    assert names == [name for group in GROUPS.values() for name in group]
    assert [line for line in lines if line.endswith(":") and line[:1].strip()] == [f"{name}:" for name in GROUPS][1:]
    assert set(COMMANDS) == {*names, "record"}


def test_the_options_of_submit_are_in_groups():
    text = CliRunner().invoke(main, ["submit", "--help"]).stdout
    parts = re.split(r"^(\w+):$", text, flags=re.MULTILINE)
    assert parts[1::2] == ["Options", "Resources", "Software", "Network", "Data", "Training", "Output"]
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    for group, option in (
        ("Options", "--dry-run"),
        ("Resources", "--gpus-per-node"),
        ("Software", "--container"),
        ("Network", "--model"),
        ("Data", "--augment"),
        ("Training", "--epochs"),
        ("Output", "--tensorboard"),
    ):
        assert f"  {option}" in found[group]


@pytest.mark.parametrize(
    ("typed", "meant"), [("submti", "submit"), ("scaling_report", "scaling-report"), ("dat", "data")]
)
def test_a_mistyped_command_is_suggested(typed, meant, in_process):
    result = in_process(typed)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: command: '{typed}' is not known. Did you mean '{meant}'?")
    assert "record" not in result.stderr


@pytest.mark.parametrize("program", [[BIN / "hpcnn"], [sys.executable, "-m", "hpcnn"]], ids=["command", "module"])
def test_version(program, command):
    result = command(*program, "--version")
    assert (result.returncode, result.stdout) == (0, f"hpcnn, version {__version__}\n")


@pytest.mark.parametrize(
    "words",
    [
        ["submit", "--batch-size", "0"],
        ["submit", "--site", "nowhere"],
        ["train", "--run-dir", "run", "--model", "nothing"],
        ["train", "--run-dir", "run", "--epochs", "-1"],
        ["study", "run", "nothing"],
        ["models", "show", "nothing"],
        ["data", "info", "nothing"],
        ["scaling-report", "nowhere"],
    ],
    ids=" ".join,
)
def test_what_hpcnn_can_explain_is_no_traceback(words, in_process, tmp_path):
    result = in_process(*words, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_help_needs_no_defaults(tmp_path, monkeypatch):
    (tmp_path / "hpcnn.toml").write_text("nonsense = 1\n")
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["submit", "--help"]).exit_code == 0
    for words in (["submit", "--dry-run"], ["submit", "--dry-run", "--", "ls", "--help"]):  # not for hpcnn's help
        ended = CliRunner().invoke(main, words)
        assert (ended.exit_code, "'nonsense' is not known" in ended.stderr) == (2, True)


def test_ctrl_c_ends_a_command_with_status_130_and_no_traceback(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("hpcnn.cli.models.command", click.Command("models", callback=interrupted))
    result = CliRunner().invoke(main, ["models"])
    assert result.exit_code == 130
    assert result.stderr == "interrupted\n"
