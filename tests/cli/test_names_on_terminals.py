"""Names that others have chosen: a terminal shows them as text, a pipe gets them byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Command
from tests.terminal.screen import see

HOSTILE = "a\x1b]0;title\x07\x1b[2Jb"
SHOWN = r"a\x1b]0;title\x07\x1b[2Jb"


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "--site", "local", "--dry-run", "--run-dir", "run", "--", "echo", HOSTILE),
        ("init", HOSTILE),
        ("sites", "check", f"{HOSTILE}.toml"),
    ],
)
def test_on_a_terminal(words: tuple[str, ...], tmp_path: Path) -> None:
    seen = see(*words, folder=tmp_path, columns=400)
    assert b"\x1b]0;" not in seen.raw
    assert b"\x1b[2J" not in seen.raw
    assert SHOWN in seen.text


def test_in_a_pipe(in_process: Command, tmp_path: Path) -> None:
    script = in_process(
        "submit", "--site", "local", "--dry-run", "--run-dir", "run", "--", "echo", HOSTILE, cwd=tmp_path
    )
    assert f"'{HOSTILE}'" in script.stdout
