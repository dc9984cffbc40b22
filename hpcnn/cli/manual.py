"""Man pages of all commands, from what ``--help`` shows: ``python -m hpcnn.cli.manual FOLDER`` writes them.

The build of the wheel calls it (hatch_build.py), so it imports no more than the commands do themselves.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from hpcnn.version import __version__


def write_pages(folder: Path) -> list[Path]:
    """Write a page for each command into ``folder``, as hpcnn-study-run.1; return the files."""
    from hpcnn.cli.main import main

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for words, context in _contexts(main, click.Context(main, info_name="hpcnn")):
        file = folder / f"{'-'.join(words)}.1"
        file.write_text(page(words, context), encoding="utf-8")
        files.append(file)
    return files


def page(words: tuple[str, ...], context: click.Context) -> str:
    """Return the page of one command, in the macros of man(7)."""
    command = context.command
    summary, _, description = _plain(command.help or "").partition("\n\n")
    lines = [
        f'.TH "{"-".join(words).upper()}" 1 "" "hpcnn {__version__}" "hpcnn"',
        ".ad l",
        ".SH NAME",
        f"{'-'.join(words)} \\- {_escaped(summary)}",
        ".SH SYNOPSIS",
        f".B {' '.join(words)}",
        _escaped(" ".join(command.collect_usage_pieces(context))),
        ".SH DESCRIPTION",
        *_paragraphs("\n\n".join(text for text in (summary, description) if text)),
    ]
    formatter = _Roff()
    command.format_options(context, formatter)
    lines += formatter.lines
    if command.epilog:
        lines += [".SH EXAMPLES", ".nf", _escaped(re.sub(r"^\x08?\s*Examples?:\s*", "", command.epilog)), ".fi"]
    return "\n".join(lines) + "\n"


class _Roff(click.HelpFormatter):
    """Writes the sections of a help page, options and commands, as those of a man page."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def write_heading(self, heading: str) -> None:
        self.lines.append(f'.SH "{_escaped(heading.upper())}"')

    def write_dl(self, rows: object, col_max: int = 30, col_spacing: int = 2) -> None:
        for name, text in rows:  # type: ignore[attr-defined]  # pairs, as click gives them
            self.lines += [".TP", f".B {_escaped(name)}", _escaped(_plain(text)) or "\\&"]


def _contexts(command: click.Command, context: click.Context) -> Iterator[tuple[tuple[str, ...], click.Context]]:
    """Yield every command with its words and its context, from the top."""
    words = tuple(context.command_path.split())
    yield words, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden and (*words, name) != ("hpcnn", "record"):
                yield from _contexts(below, click.Context(below, parent=context, info_name=name))


def _plain(text: str) -> str:
    """Return a help text without click's marks: \\b keeps the lines of a paragraph, \\f ends the text."""
    text = text.partition("\f")[0].replace("\b\n", "")
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))


def _paragraphs(text: str) -> Iterator[str]:
    for part in text.split("\n\n"):
        yield ".PP"
        yield _escaped(part)


def _escaped(text: str) -> str:
    """Return a text for roff, in which a backslash, and a dot or an apostrophe at the beginning of a line, command."""
    return re.sub(r"^([.'])", r"\\&\1", text.replace("\\", "\\e").replace("-", "\\-"), flags=re.MULTILINE)


if __name__ == "__main__":
    for written in write_pages(Path(sys.argv[1])):
        print(written)
