"""Command-line options made from the fields of a spec: the same names, help and valid values as in a study file."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

import click

from hpcnn.specs.command_line import option_of
from hpcnn.specs.fields import Spec, from_mapping, hints, plain_type
from hpcnn.util.errors import bad_value

Command = Callable[..., Any]


def spec_options(cls: type, only: Collection[str] | None = None) -> Callable[[Command], Command]:
    """Add one option for each field of ``cls``. An option that is not given arrives as None (or an empty tuple).

    only: the fields to take, where it is not all of them.
    """

    def add(function: Command) -> Command:
        for f in reversed(dataclasses.fields(cls)):
            if only is None or f.name in only:
                function = _option(f, hints(cls)[f.name])(function)
        return function

    return add


def spec_from_options(cls: type[Spec], given: dict[str, Any]) -> Spec:
    """Return the spec of what was given; errors name the option. Raises UsageError as ``from_mapping`` does."""
    return from_mapping(cls, given, spell=option_name)


def given_options(cls: type, values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of ``cls`` that were given on the command line, taken out of ``values``."""
    found = {}
    for f in dataclasses.fields(cls):
        value = values.pop(f.name, None)
        if value is None or value == ():
            continue
        is_table = plain_type(hints(cls)[f.name]) is dict
        found[f.name] = key_values(option_of(f), value, texts=f.metadata["texts"]) if is_table else value
    return found


def key_values(option: str, pairs: Iterable[str], *, texts: bool = False) -> dict[str, Any]:
    """Return {key: value} for ``KEY=VALUE`` texts; values are numbers, true/false or lists where they read so.

    texts: values stay as they stand.
    """
    found = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise bad_value(option, pair, "KEY=VALUE")
        found[key.strip()] = text if texts else toml_value(text.strip())
    return found


def toml_value(text: str) -> Any:
    """Return a text as the TOML value it spells (2, 0.5, true, [1, 2], 'word'), or as it stands.

    Words in a list need no quotes, which a shell would take away: ``[serial, horovod]``.
    """
    from hpcnn.util.toml import TOMLDecodeError, loads

    try:
        table = loads(f"value = {text}")
    except TOMLDecodeError:
        if re.fullmatch(r"\[[^][\"']*\]", text):
            return [toml_value(item.strip()) for item in text[1:-1].split(",")]
        return text
    return table["value"] if len(table) == 1 else text  # a second line that reads as a key of its own


def option_name(field_name: str) -> str:
    """Return ``--batch-size`` for ``batch_size``."""
    return "--" + field_name.replace("_", "-")


def _option(f: dataclasses.Field[Any], hint: Any) -> Callable[[Command], Command]:
    facts = f.metadata
    kind, name = plain_type(hint), option_of(f)
    if kind in (dict, tuple):
        metavar = "KEY=VALUE" if kind is dict else "TEXT"
        return click.option(name, f.name, multiple=True, metavar=metavar, help=facts["help"])
    help_text = f"{facts['help']}{_default_text(f)}"
    if kind is bool:
        return click.option(f"{name}/--no-{name[2:]}", f.name, default=None, help=help_text)
    if facts["own"]:
        words = "|".join((*facts["choices"], "package.module:function"))
        return click.option(name, f.name, default=None, metavar=f"[{words}]", help=help_text)
    if facts["choices"]:
        return click.option(name, f.name, type=click.Choice(facts["choices"]), default=None, help=help_text)
    metavars = {int: "N", float: "X", str: "TEXT"}
    return click.option(name, f.name, type=kind, default=None, metavar=metavars[kind], help=help_text)


def _default_text(f: dataclasses.Field[Any]) -> str:
    if f.metadata["recipe"]:
        return "  [default: the lecture's]"
    if f.default in (None, "") or isinstance(f.default, bool):
        return "  [default: yes]" if f.default is True else ""
    return f"  [default: {f.default:g}]" if isinstance(f.default, float) else f"  [default: {f.default}]"
