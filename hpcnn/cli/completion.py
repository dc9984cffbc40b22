"""``hpcnn completion``: install the completion of commands, options and their values into bash, zsh or fish."""

from __future__ import annotations

import os
from pathlib import Path

import click

from hpcnn.cli.choice import Choice
from hpcnn.util.errors import UsageError
from hpcnn.util.files import write_text
from hpcnn.util.table import note

SHELLS = ("bash", "zsh", "fish")
# In zsh the folder of the file must be in fpath before compinit runs.
_ZSH_LINES = "fpath=({folder} $fpath); autoload -Uz compinit; compinit"


@click.command(epilog="\b\nExamples:\n  hpcnn completion\n  hpcnn completion zsh --print")
@click.argument("shell", type=Choice(SHELLS), required=False)
@click.option("--print", "printed", is_flag=True, help="Print the script, and write nothing.")
def command(shell: str | None, printed: bool) -> None:
    """Install completion of commands, options, sites, models, runs, ... for SHELL, by default $SHELL.

    Writes one file into the folder where that shell looks for completions of the user. It works in the next shell.
    """
    shell = shell or _own_shell()
    text = _script(shell)
    if printed:
        click.echo(text)
        return
    file = _file(shell)
    write_text(file, text + "\n")
    note(f"{file}: written; open a new shell, and try: hpcnn submit --site <TAB>")
    if shell == "zsh":
        click.echo(f"If zsh does not complete, put this into ~/.zshrc: {_ZSH_LINES.format(folder=file.parent)}")


def _own_shell() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise UsageError(f"SHELL: $SHELL is {name!r}; name one of {', '.join(SHELLS)}")
    return name


def _script(shell: str) -> str:
    """Return the script of click for a shell, which asks ``hpcnn`` itself for words."""
    from click.shell_completion import get_completion_class

    from hpcnn.cli.main import main

    found = get_completion_class(shell)
    assert found is not None
    complete = found(main, {}, "hpcnn", "_HPCNN_COMPLETE")
    # not complete.source(), which starts bash to ask for its version
    return (complete.source_template % complete.source_vars()).strip()


def _file(shell: str) -> Path:
    """Return the file in which a shell looks for the user's completion of ``hpcnn``.

    bash: the FAQ of bash-completion; fish: "Where to put completions". zsh has no folder of the user's.
    """
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return {
        "bash": data / "bash-completion" / "completions" / "hpcnn",
        "zsh": data / "zsh" / "site-functions" / "_hpcnn",
        "fish": config / "fish" / "completions" / "hpcnn.fish",
    }[shell]
