"""Highlight ``console`` blocks: commands as bash, and what they print as it is.

Pygments' own lexer takes every printed line that begins with ``#`` or ``>``, as in a job script, for a command.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pygments.lexer import Lexer
from pygments.lexers.shell import BashLexer
from pygments.token import Generic, _TokenType


class ConsoleLexer(Lexer):
    """A command is a line that begins with ``$ ``, and lines that go on with it behind a backslash."""

    name = "hpcnn's console"
    aliases: ClassVar[list[str]] = ["console"]

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """Yield place, kind and text of each token."""
        at, goes_on = 0, False
        bash = BashLexer(stripnl=False, ensurenl=False)
        for line in text.splitlines(keepends=True):
            if line.startswith("$ ") or (goes_on and line.startswith("> ")):
                yield at, Generic.Prompt, line[:2]
                yield from ((at + 2 + place, kind, part) for place, kind, part in bash.get_tokens_unprocessed(line[2:]))
                goes_on = line.rstrip("\n").endswith("\\")
            else:
                yield at, Generic.Output, line
                goes_on = False
            at += len(line)
