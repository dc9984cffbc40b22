"""The options in the documents' commands are options of these commands: looked up, not run.

test_docs.py runs the commands. This is what `make test` sees of the pages that it leaves to `make test-long`.
"""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path

import click
import pytest

from hpcnn.cli.main import main
from tests.docs.documents import ROOT, blocks, commands, documents


def calls(document: Path) -> list[list[str]]:
    """Return the words of each ``hpcnn`` command that a document shows to succeed, without ``hpcnn`` itself."""
    shown = [command for block in blocks(document) if block.language == "console" for command in commands(block)]
    words = [shlex.split(command.text, comments=True) for command in shown if not command.fails]
    without_variables = [list(itertools.dropwhile(lambda word: "=" in word, each)) for each in words]
    return [each[1:] for each in without_variables if each[:1] == ["hpcnn"]]


def unknown(words: list[str]) -> list[str]:
    """Return the options of a call that its command does not have; what follows ``--`` is another program's."""
    command: click.Command = main
    context = click.Context(main)
    if "--" in words:
        words = words[: words.index("--")]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return [words[0]]
        command, words = found, words[1:]
    known = {name for parameter in command.get_params(context) for name in (*parameter.opts, *parameter.secondary_opts)}
    given = [word.partition("=")[0] for word in words if word.startswith("--")]
    return [option for option in given if option not in known]


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_option_that_a_document_shows_is_one_of_its_command(document: Path) -> None:
    assert [(words, odd) for words in calls(document) if (odd := unknown(words))] == []


def test_an_option_and_a_command_that_there_are_not_are_found() -> None:
    assert unknown(["study", "run", "smoke", "--nodez", "2"]) == ["--nodez"]
    assert unknown(["study", "rum", "smoke"]) == ["rum"]
    assert unknown(["submit", "--ntasks", "2", "--", "python", "--own"]) == []
