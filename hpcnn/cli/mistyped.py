"""What a user may have meant by an option or a command that does not exist.

Imports the modules of all commands, so it is imported where an error is to be explained, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from hpcnn.util.errors import UsageError, closest, unknown_value

if TYPE_CHECKING:
    from click import Command, Context, Group

# Slurm's letters for what has only a long option here.
_OF_SLURM = {
    "-A": "--account",
    "-C": "--constraint",
    "-J": "--name",
    "-N": "--nodes",
    "-c": "--cpus-per-task",
    "-d": "--after",
    "-n": "--ntasks",
    "-p": "--partition",
    "-q": "--qos",
    "-t": "--time",
}
# As many commands are named as near words are.
_MOST = 3
# From so much likeness on, a word is another one with a slip of the finger.
_SLIP = 0.9


def unknown_option(error: click.NoSuchOption, words: Sequence[str] = ()) -> UsageError:
    """Return the error for an option that its command does not have: near ones, and the commands that have it.

    words: those of the command line. click takes ``-epochs`` for the letter ``-e``; they show what was typed.
    """
    assert error.ctx is not None
    here = error.ctx.command
    typed = _typed(error.option_name, words)
    known = _options(here)
    letter = error.option_name
    if (meant := _OF_SLURM.get(letter)) in known and (typed == letter or typed[2].isdigit()):
        return UsageError(f"option: {letter!r} is not known. Slurm's {letter} is {meant} here.")
    found = unknown_value("option", typed, [*known, "--help"], see=f"{error.ctx.command_path} --help")
    if _is_slip(typed, closest(typed, known)):
        return found
    others = [name for name, one in _commands(error.ctx.find_root()) if one is not here and typed in _options(one)]
    if not others:
        return found
    listed = ", ".join(f"`{name}`" for name in others[:_MOST])
    more = f" and {len(others) - _MOST} more commands" if others[_MOST:] else ""
    return UsageError(f"{found} {listed}{more} {'have' if others[1:] else 'has'} it.")


def unknown_command(group: Group, context: Context, name: str) -> UsageError:
    """Return the error for a command that a group does not have."""
    known = group.list_commands(context)
    return unknown_value(f"command of {context.command_path}", name, known, see=f"{context.command_path} --help")


def _typed(option: str, words: Sequence[str]) -> str:
    """Return the option as the user wrote it, without its value."""
    long = [word for word in words if not word.startswith("--") and word.startswith(option) and len(word) > len(option)]
    return long[0].partition("=")[0] if long and len(option) == len("-x") else option


def _is_slip(typed: str, near: Sequence[str]) -> bool:
    from difflib import SequenceMatcher

    return bool(near) and SequenceMatcher(None, near[0].lstrip("-"), typed.lstrip("-")).ratio() >= _SLIP


def _options(command: Command) -> list[str]:
    """Return the options of a command as they are typed, without --help, which every command has."""
    found = (parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden)
    return [option for parameter in found for option in (*parameter.opts, *parameter.secondary_opts)]


def _commands(context: Context) -> Iterator[tuple[str, Command]]:
    """Yield all commands below one, with the words that call them."""
    group = context.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        below = click.Context(command, parent=context, info_name=name)
        yield below.command_path, command
        yield from _commands(below)
