"""Fields of specs: each says what it means and which values it takes, and is checked by that.

The same words become the command-line option, the key of a study file and the error message, so the three cannot
drift apart. Must not know what any spec is about.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from hpcnn.util.errors import UsageError, bad_value, unknown_value

T = TypeVar("T")

# The default of a field that is a table of its own.
NO_KEYS = object()


def field(
    default: Any,
    help_text: str,
    *,
    choices: tuple[str, ...] | None = None,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    recipe: bool = False,
    option: str | None = None,
    texts: bool = False,
    table: type | None = None,
    own: bool = False,
) -> Any:
    """Return a dataclass field with what a user must know of it.

    recipe: the default None means "what the lecture used for this network". option: the command-line option, where it
    is not the field's own name. texts: the values of a table stay texts, whatever they spell. table: the spec whose
    fields are the keys of a table, where only those are valid. own: besides the choices, ``package.module:function``.
    """
    facts = {
        "help": help_text,
        "choices": choices,
        "minimum": minimum,
        "above": above,
        "maximum": maximum,
        "recipe": recipe,
        "option": option,
        "texts": texts,
        "table": table,
        "own": own,
    }
    if default is NO_KEYS:
        return dataclasses.field(default_factory=dict, metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


@cache
def hints(cls: Any) -> dict[str, Any]:
    """Return the resolved type of every field of a spec class."""
    return typing.get_type_hints(cls)


def plain_type(hint: Any) -> type:
    """Return int for ``int | None``, dict for ``dict[str, Any]`` and so on."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    origin: type = typing.get_origin(hint) or hint
    return origin


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str = "", spell: Callable[[str], str] = str) -> T:
    """Make a spec from keys and values, as a TOML table or the command line gives them.

    where: comes before the key in errors (``[train] ``). spell: how errors write a key (as an option, say).
    Raises UsageError naming the key, the value and what is valid, for an unknown key (with a suggestion), a wrong
    type, or a value out of range.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    clean = {}
    for key, value in values.items():
        if key not in fields:
            raise unknown_value(f"{where}key", key, fields)
        clean[key] = check_field(cls, key, value, f"{where}{spell(key)}")
    try:
        return cls(**clean)
    except UsageError as error:  # of values that do not go together
        raise UsageError(f"{where}{error}") from error


def check_field(cls: type, key: str, value: Any, name: str) -> Any:
    """Return ``value`` in the type of the field ``key``, or raise UsageError saying what is expected of ``name``."""
    facts = next(f.metadata for f in dataclasses.fields(cls) if f.name == key)
    return _check(name, value, hints(cls)[key], facts)


_TYPE_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "true or false",
    dict: "a table",
    tuple: "a list",
}


def _check(name: str, value: Any, hint: Any, facts: Mapping[str, Any]) -> Any:
    if value is None and type(None) in typing.get_args(hint):
        return None
    wanted = plain_type(hint)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if wanted is tuple and isinstance(value, list):
        value = tuple(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise bad_value(name, value, _TYPE_WORDS[wanted])
    if isinstance(value, tuple):  # the facts of a list are those of each item
        return tuple(_check(name, item, typing.get_args(hint)[0], facts) for item in value)
    if facts.get("table") and isinstance(value, dict):
        checked = from_mapping(facts["table"], value, f"{name}: ")
        return {key: getattr(checked, key) for key in value}
    _check_range(name, value, facts)
    return value


def _check_range(name: str, value: Any, facts: Mapping[str, Any]) -> None:
    choices = facts.get("choices")
    if choices and facts.get("own"):
        if value not in choices and ":" not in value:
            raise unknown_value(name, value, [*choices, "package.module:function"])
    elif choices and value not in choices:
        raise unknown_value(name, value, choices)
    if isinstance(value, float) and not math.isfinite(value):
        raise bad_value(name, value, "a finite number")
    minimum, above, maximum = facts.get("minimum"), facts.get("above"), facts.get("maximum")
    if minimum is not None and value < minimum:
        raise bad_value(name, value, f"at least {minimum:.10g}")
    if above is not None and value <= above:
        raise bad_value(name, value, f"more than {above:.10g}")
    if maximum is not None and value > maximum:
        raise bad_value(name, value, f"at most {maximum:.10g}")


def to_mapping(spec: Any) -> dict[str, Any]:
    """Return a spec as plain dictionaries and lists, ready for JSON."""
    mapping: dict[str, Any] = dataclasses.asdict(spec)
    return mapping


def given(spec: Any) -> dict[str, Any]:
    """Return only the fields of a spec that differ from their defaults.

    A spec whose default follows from another field says so in ``derived_defaults()``.
    """
    derived: dict[str, Any] = spec.derived_defaults() if hasattr(spec, "derived_defaults") else {}
    defaults = {**vars(type(spec)()), **derived}
    return {key: value for key, value in vars(spec).items() if value != defaults[key]}
