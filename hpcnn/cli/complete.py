"""The words with which a shell completes the values of options and arguments. Each is found in a fraction of 0.1 s."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    Words = Callable[[click.Context, str], Iterable[CompletionItem]]
    Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

# A shell shows no more.
_MOST = 200
# What a shell takes as it stands. Bash puts a word into the line without quotes, so that a folder `$(...)`, which
# somebody else has made, would run at the next Return.
_PLAIN = re.compile(r"(?!~)[\w@%+=:,./~-]*")


def install(command: click.Command) -> None:
    """Give the options and arguments of a command, and of those below it, the words that can stand there."""
    for below in getattr(command, "commands", {}).values():
        install(below)
    for parameter in command.params:
        names = {str(parameter.name), *(option.lstrip("-") for option in parameter.opts)}
        of_options = next((_WORDS[name] for name in names if name in _WORDS), None)
        words = of_options if isinstance(parameter, click.Option) else _of_argument(parameter)
        if words is not None:
            parameter._custom_shell_complete = _from(words)


def _of_argument(parameter: click.Parameter) -> Words | None:
    return _ARGUMENTS.get(str(parameter.name))


def _from(words: Words) -> Completer:
    def complete(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            found = [item for item in words(context, begun) if item.value.startswith(begun) and _is_safe(item)]
        except (OSError, ValueError):  # completion never disturbs
            return []
        return found[:_MOST]

    return complete


def _is_safe(item: CompletionItem) -> bool:
    """Return whether a shell takes a word as it stands; files the shell itself completes, and quotes."""
    return item.type != "plain" or _PLAIN.fullmatch(item.value) is not None


def _sites(_context: click.Context, _begun: str) -> Iterable[CompletionItem]:
    from hpcnn.util.config_dir import config_folder
    from hpcnn.util.share import share_dir

    folders = (share_dir("templates") / "sites", config_folder() / "sites")
    names = {file.stem for folder in folders if folder.is_dir() for file in folder.glob("*.toml")}
    return map(CompletionItem, sorted(names))


def _models(_context: click.Context, _begun: str) -> Iterable[CompletionItem]:
    from hpcnn.zoo.registry import RECIPES

    return (CompletionItem(name, help=recipe.title) for name, recipe in RECIPES.items())


def _data(_context: click.Context, begun: str) -> Iterable[CompletionItem]:
    from hpcnn.zoo.catalogue import describe, known

    found = [CompletionItem(name, help=describe(name).description) for name in known()]
    return found if any(item.value.startswith(begun) for item in found) else [CompletionItem(begun, type="file")]


def _packaged(begun: str, kind: str) -> Iterable[CompletionItem]:
    from hpcnn.util.share import packaged

    yield from map(CompletionItem, packaged(kind))
    yield from _files(begun, ".toml")


def _runs(_context: click.Context, begun: str) -> Iterable[CompletionItem]:
    return _below(begun)


def _files(begun: str, suffix: str) -> Iterable[CompletionItem]:
    head = begun.rpartition("/")[0]
    for entry in sorted(os.scandir(head or "."), key=lambda entry: entry.name):
        name = f"{head}/{entry.name}" if head else entry.name
        if entry.name.endswith(suffix):
            yield CompletionItem(name)
        elif entry.is_dir() and not entry.name.startswith("."):
            yield CompletionItem(f"{name}/")


def _below(begun: str) -> Iterable[CompletionItem]:
    """Yield the folders below what has been typed; of nothing, the runs: the newest first, as they would be typed."""
    from hpcnn.rundir.layout import runs_folder
    from hpcnn.util.text import shown_path

    base = runs_folder()
    here = shown_path(base)
    if not begun or here.startswith(begun):
        yield CompletionItem(here)
    head = begun.rpartition("/")[0]
    if not begun or not head:
        head = here
    try:
        entries = sorted(os.scandir(head), key=lambda entry: entry.name, reverse=True)
    except OSError:  # no folder
        return
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            yield CompletionItem(f"{head}/{entry.name}")


def _jobs(_context: click.Context, begun: str) -> Iterable[CompletionItem]:
    """Yield the job ids of the runs folder, with the names of their runs, then the folders."""
    from hpcnn.rundir.find import is_job
    from hpcnn.rundir.layout import runs_folder
    from hpcnn.util.files import read_json
    from hpcnn.util.text import in_one_line

    folder = runs_folder()
    if begun.isdigit() or not begun:
        for file in sorted((*folder.glob("*/job.json"), *folder.glob("*/*/job.json")), reverse=True)[:_MOST]:
            with contextlib.suppress(OSError):  # one that cannot be read does not hide the others
                job = str((read_json(file) or {}).get("job_id"))
                if is_job(job):
                    yield CompletionItem(job, help=in_one_line(file.parent.name))
    yield from _below(begun)


def _partitions(_context: click.Context, _begun: str) -> Iterable[CompletionItem]:
    """Yield the partitions of the cluster, as sinfo prints them within a tenth of a second; none elsewhere."""
    import subprocess

    try:
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format=%R"], capture_output=True, text=True, timeout=0.1, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return map(CompletionItem, sorted(set(asked.stdout.split())))


def _networks(_context: click.Context, _begun: str) -> Iterable[CompletionItem]:
    from hpcnn.interconnect import LINKS

    return map(CompletionItem, LINKS)


def _named(context: click.Context, begun: str) -> Iterable[CompletionItem]:
    """Yield the words of the arguments that the commands of groups call ``name``."""
    return _sites(context, begun) if "sites" in context.command_path else _data(context, begun)


def _study_files(context: click.Context, begun: str) -> Iterable[CompletionItem]:
    """Yield what FILE can be: a search, a study, or a profile."""
    if "sites" in context.command_path:
        return _files(begun, ".toml")
    return _packaged(begun, "searches" if "search" in context.command_path.split() else "scaling_studies")


def _studies(_context: click.Context, begun: str) -> Iterable[CompletionItem]:
    yield from _packaged(begun, "scaling_studies")
    yield from _below(begun)


def _searches(_context: click.Context, begun: str) -> Iterable[CompletionItem]:
    yield from _packaged(begun, "searches")
    yield from _below(begun)


# By the names of options, and of arguments.
_WORDS: dict[str, Words] = {
    "site": _sites,
    "model": _models,
    "data": _data,
    "partition": _partitions,
    "network": _networks,
    "within": _networks,
}
_ARGUMENTS: dict[str, Words] = {
    **dict.fromkeys(("run", "runs", "dirs", "a", "b", "folder"), _runs),
    **dict.fromkeys(("job", "jobs"), _jobs),
    "file": _study_files,
    "study": _studies,
    "target": _searches,
    "name": _named,
    "model": _models,
}
