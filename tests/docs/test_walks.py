"""docs/walks.md, typed line by line into a real terminal of 80 columns and 24 lines: nothing is broken there."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from tests.docs.documents import WALKS, Block, blocks, commands, missing_lines
from tests.docs.test_docs import environment_of, prepare
from tests.terminal.screen import type_line

pytestmark = [pytest.mark.slow, pytest.mark.mpi]

WHO = ("A student", "A researcher", "Support")


def walks() -> Iterator[tuple[str, list[Block]]]:
    """Yield each heading of the page and the blocks below it."""
    headings = [
        (number, line[3:])
        for number, line in enumerate(WALKS.read_text(encoding="utf-8").splitlines(), start=1)
        if line.startswith("## ")
    ]
    whose = groupby(blocks(WALKS), key=lambda block: [name for number, name in headings if number < block.line][-1])
    yield from ((name, list(own)) for name, own in whose)


def test_each_of_them_has_a_walk() -> None:
    assert tuple(name for name, _ in walks()) == WHO


@pytest.fixture
def home() -> Iterator[Path]:
    """Yield a folder with a name as short as a person's own: no line is broken for the sake of its path."""
    with tempfile.TemporaryDirectory(prefix="walk-") as folder:
        prepare(Path(folder))
        yield Path(folder)


@pytest.mark.parametrize("who", WHO)
def test_a_walk(who: str, home: Path) -> None:
    folder = home
    for block in dict(walks())[who]:
        if block.file_name:
            (home / block.file_name).write_text(block.text, encoding="utf-8")
        for command in commands(block) if block.language == "console" else ():
            if command.text.startswith("cd "):
                folder = (folder / command.text[3:]).resolve()
                continue
            seen = type_line(command.text, folder=folder, variables=environment_of(home))
            assert seen.status == 0, f"{command.text}:\n{seen.text}"
            wrapped = [] if "--dry-run" in command.text else seen.wrapped  # a script has lines of any length
            assert not wrapped, command.text
            missing = missing_lines(command.output, re.sub(r"^.*\r", "", seen.text, flags=re.MULTILINE))
            assert not missing, f"{command.text!r} does not show {missing}, but:\n{seen.text}"
