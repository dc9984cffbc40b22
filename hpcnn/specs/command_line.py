"""Convert a spec to the options of a command line, as ``hpcnn train`` and ``hpcnn submit`` read them. Pure.

Job scripts, and the commands that reports and searches print, all use this module. Must not depend on which command the
options belong to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hpcnn.specs.fields import Field, facts_of, given
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Options that a training always names, even at their defaults, so that a script can be read without knowing these.
ALWAYS_OF_TRAINING = ("model", "data", "strategy")


def option_of(field: Field) -> str:
    """Return the option that sets a field of a spec: ``--batch-size``, ``--model-arg``."""
    return facts_of(field)["option"] or "--" + field.name.replace("_", "-")


def options_of(spec: DataclassInstance, always: Sequence[str] = ()) -> list[str]:
    """Return options and values, unquoted, for every field of ``spec`` that differs from its default.

    always: fields that are written even at their defaults, before the others.
    """
    fields = {field.name: field for field in dataclasses.fields(spec)}
    values = {**{key: getattr(spec, key) for key in always}, **given(spec)}
    return [word for key, value in values.items() for word in _field_options(fields[key], value)]


def _field_options(field: Field, value: Json) -> Iterator[str]:
    option = option_of(field)
    if isinstance(value, bool):
        yield option if value else f"--no-{option[2:]}"
    elif isinstance(value, dict):
        from hpcnn.util.toml import toml_text  # it loads the reader of TOML, which help and completion do without

        as_text = str if facts_of(field)["texts"] else toml_text
        for key, item in value.items():
            yield from (option, key if item is True and facts_of(field)["flags"] else f"{key}={as_text(item)}")
    elif isinstance(value, tuple):
        for item in value:
            yield from (option, str(item))
    elif value is not None:
        yield from (option, str(value))
