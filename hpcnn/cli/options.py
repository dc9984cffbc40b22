"""Make command-line options from the fields of a spec, with the names, help and valid values of a study file."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import click

from hpcnn.cli.choice import Choice
from hpcnn.cli.grouped import GroupedOption, group_of
from hpcnn.specs.command_line import option_of
from hpcnn.specs.fields import Field, Spec, facts_of, from_mapping, hints, plain_type
from hpcnn.util.errors import bad_value
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# The function of a command, which click's decorators take and return.
Command: TypeAlias = Callable[..., object]


def spec_options(cls: type[DataclassInstance], only: Collection[str] | None = None) -> Callable[[Command], Command]:
    """Add one option for each field of ``cls``. An option that is not given arrives as None (or an empty tuple).

    only: the names of the fields to take; by default all.
    """

    def add(function: Command) -> Command:
        for f in reversed(dataclasses.fields(cls)):
            if only is None or f.name in only:
                function = _option(f, hints(cls)[f.name])(function)
                option = function.__click_params__[-1]  # type: ignore[attr-defined]  # click keeps them there
                option.group = group_of(cls, f.name)
        return function

    return add


def spec_from_options(cls: type[Spec], given: dict[str, Json]) -> Spec:
    """Return the spec with the given fields; errors name the option. Raises UsageError as ``from_mapping`` does."""
    return from_mapping(cls, given, spell=option_name)


def given_options(cls: type[DataclassInstance], values: dict[str, object]) -> dict[str, Json]:
    """Remove the fields of ``cls`` from ``values``, and return those that were given on the command line."""
    found: dict[str, Json] = {}
    for f in dataclasses.fields(cls):
        value = values.pop(f.name, None)
        if value is None or value == ():
            continue
        if bare := facts_of(f)["bare"]:
            pairs = cast("tuple[str, ...]", value)
            values[bare] = (*cast("tuple[str, ...]", values.get(bare, ())), *(p for p in pairs if "=" not in p))
            value = tuple(pair for pair in pairs if "=" in pair)
            if not value:
                continue
        if plain_type(hints(cls)[f.name]) is dict:
            value = key_values(
                option_of(f), cast("Iterable[str]", value), texts=facts_of(f)["texts"], flags=facts_of(f)["flags"]
            )
        found[f.name] = value
    return found


def key_values(option: str, pairs: Iterable[str], *, texts: bool = False, flags: bool = False) -> dict[str, Json]:
    """Parse ``KEY=VALUE`` texts; values that spell numbers, true/false or lists become these.

    texts: values stay texts. flags: a KEY may stand alone, and is true then.
    """
    found: dict[str, Json] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if flags and pair and not equals:
            found[key.strip()] = True
            continue
        if not equals or not key:
            raise bad_value(option, pair, "KEY=VALUE")
        found[key.strip()] = text if texts else toml_value(text.strip())
    return found


def toml_value(text: str) -> Json:
    """Parse a text as a TOML value (2, 0.5, true, [1, 2], 'word'), or return it unchanged.

    Words in a list need no quotes, which a shell would remove: ``[serial, horovod]``.
    """
    from hpcnn.util.toml import TOMLDecodeError, loads

    try:
        table = loads(f"value = {text}")
    except TOMLDecodeError:
        if re.fullmatch(r"\[[^][\"']*\]", text):
            return [toml_value(item.strip()) for item in text[1:-1].split(",")]
        return text
    return table["value"] if len(table) == 1 else text  # a second line that reads as a key of its own


trust_option = click.option(
    "--trust",
    is_flag=True,
    help="Run what RUN names (model, data, loss, program) though it is not your own run.",
)


def option_name(field_name: str) -> str:
    """Return ``--batch-size`` for ``batch_size``."""
    return "--" + field_name.replace("_", "-")


def _option(f: Field, hint: object) -> Callable[[Command], Command]:
    facts = facts_of(f)
    kind, name = plain_type(hint), option_of(f)
    if kind is bool:
        name = f"{name}/--no-{name[2:]}"
    option = partial(click.option, name, f.name, cls=GroupedOption)
    if kind in (dict, tuple):
        if kind is tuple:
            metavar = "TEXT"
        elif facts["flags"]:
            metavar = "KEY[=VALUE]"
        else:
            metavar = "NAME[=VALUE]" if facts["bare"] else "KEY=VALUE"
        return option(multiple=True, metavar=metavar, help=facts["help"])
    help_text = f"{facts['help']}{_default_text(f)}"
    if kind is bool:
        return option(default=None, help=help_text)
    if facts["own"]:
        words = ", ".join(facts["choices"] or ())  # as a metavar they would be one line, wider than a terminal
        return option(default=None, metavar="NAME", help=f"{help_text}  {words}, or package.module:function.")
    if facts["choices"]:
        return option(type=Choice(facts["choices"]), default=None, help=help_text)
    metavars = {int: "N", float: "X", str: "TEXT"}
    return option(type=kind, default=None, metavar=metavars[kind], help=help_text)


def _default_text(f: Field) -> str:
    if facts_of(f)["recipe"]:
        return "  [default: the lecture's]"
    if f.default in (None, "") or isinstance(f.default, bool):
        return "  [default: yes]" if f.default is True else ""
    return f"  [default: {f.default:g}]" if isinstance(f.default, float) else f"  [default: {f.default}]"
