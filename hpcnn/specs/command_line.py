"""A spec as the words of a command line, as ``hpcnn train`` and ``hpcnn submit`` read them back. Pure.

The one way from a spec to options: job scripts, the commands that a report suggests and those of a search use it. Must
not know which command the words belong to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from hpcnn.specs.fields import given
from hpcnn.util.toml import toml_text

# What a training always says, its defaults too: who reads a script must not need to know them.
ALWAYS_OF_TRAINING = ("model", "data", "strategy")


def option_of(field: dataclasses.Field[Any]) -> str:
    """Return the option that sets a field of a spec: ``--batch-size``, ``--model-arg``."""
    return field.metadata["option"] or "--" + field.name.replace("_", "-")


def options_of(spec: Any, always: Sequence[str] = ()) -> list[str]:
    """Return the words of every field of ``spec`` that differs from its default.

    always: fields that are written in any case, and come first. Words are as the program gets them, unquoted.
    """
    fields = {field.name: field for field in dataclasses.fields(spec)}
    values = {**{key: getattr(spec, key) for key in always}, **given(spec)}
    return [word for key, value in values.items() for word in _words(fields[key], value)]


def _words(field: dataclasses.Field[Any], value: Any) -> Iterator[str]:
    option = option_of(field)
    if isinstance(value, bool):
        yield option if value else f"--no-{option[2:]}"
    elif isinstance(value, dict):
        as_text = str if field.metadata["texts"] else toml_text
        for key, item in value.items():
            yield from (option, f"{key}={as_text(item)}")
    elif isinstance(value, tuple):
        for item in value:
            yield from (option, str(item))
    elif value is not None:
        yield from (option, str(value))
