"""``hpcnn init``: begin a project with a model, data and a study of one's own, which runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import click

from hpcnn.cli.next import next_lines
from hpcnn.cli.output import say
from hpcnn.util.errors import UsageError, bad_value

# Stands in the files for the name of the project.
_NAME = "PROJECT"


@click.command(epilog="\b\nExample:\n  hpcnn init my-project")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False, path_type=Path))
def command(folder: Path) -> None:
    """Begin a project in DIR, by default here: a model, data, a study, hpcnn.toml, a README and a test, all yours.

    It runs as it stands. No file that is there is written over.
    """
    from hpcnn.util.files import write_text
    from hpcnn.util.share import share_dir

    name = folder.absolute().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise bad_value("DIR", name, "a name of letters, digits, dots, dashes and underscores")
    sources = sorted(file for file in (share_dir("templates") / "project").iterdir() if file.is_file())
    files = {folder / file.name: file.read_text(encoding="utf-8").replace(_NAME, name) for file in sources}
    there = {file for file in files if file.exists()}
    # a command that was interrupted has written some of them, and goes on
    if there == files.keys() or any(_is_other(file, files[file]) for file in there):
        names = ", ".join(sorted(file.name for file in there))
        raise UsageError(f"DIR: {str(folder)!r} has {names} already; name another folder")
    for file, text in files.items():
        if file not in there:
            write_text(file, text)
        say(file)
    first = [] if folder.absolute() == Path.cwd() else [f"cd {folder}"]
    next_lines(*first, "hpcnn submit", "hpcnn study run study.toml")


def _is_other(file: Path, text: str) -> bool:
    return not file.is_file() or file.read_bytes() != text.encode()
