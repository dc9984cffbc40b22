"""Fields of specs, each with its help, valid values and default, and the check of a value against them.

One definition gives the command-line option, the key of a study file and the error message, so the three always agree.
Must not import any spec.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, TypeVar, cast

from hpcnn.util.errors import UsageError, bad_value, unknown_value
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Field: TypeAlias = dataclasses.Field[Any]
else:
    Field = dataclasses.Field

T = TypeVar("T")
Spec = TypeVar("Spec", bound="DataclassInstance")

# Defaults that have the type of no value: of a field that must be given, and of a table, which is empty.
REQUIRED: Any = dataclasses.MISSING
NO_KEYS: Any = object()


class Facts(TypedDict, total=False):
    """The metadata of a field, as ``field`` takes them; empty for a plain dataclass field."""

    help: str
    choices: tuple[str, ...] | None
    minimum: float | None
    above: float | None
    maximum: float | None
    recipe: bool
    option: str | None
    texts: bool
    flags: bool
    table: type[DataclassInstance] | None
    own: bool
    bare: str | None


def facts_of(field: Field) -> Facts:
    """Return the metadata of a field of a spec."""
    return cast(Facts, field.metadata)


def field(
    default: T,
    help_text: str,
    *,
    choices: tuple[str, ...] | None = None,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    recipe: bool = False,
    option: str | None = None,
    texts: bool = False,
    flags: bool = False,
    table: type[DataclassInstance] | None = None,
    own: bool = False,
    bare: str | None = None,
) -> T:
    """Return a dataclass field with its default, help and valid values.

    above: the values must be larger than this. recipe: the default None stands for the value of the lecture's recipe.
    option: the command-line option, if it differs from the field's name. texts: the values of a table stay texts, even
    if they spell numbers. flags: a key of a table may stand alone, and is true then. table: the spec whose fields are
    the only valid keys of a table. own: the value may also be the name of a user's own function,
    ``package.module:function``. bare: the list that gets the keys which the command line gives without a value.
    """
    facts: Facts = {
        "help": help_text,
        "choices": choices,
        "minimum": minimum,
        "above": above,
        "maximum": maximum,
        "recipe": recipe,
        "option": option,
        "texts": texts,
        "flags": flags,
        "table": table,
        "own": own,
        "bare": bare,
    }
    # dataclasses takes a Field for the default of an attribute; so do type checkers, by the type T
    if default is NO_KEYS:
        return cast(T, dataclasses.field(default_factory=dict, metadata=facts))
    return dataclasses.field(default=default, metadata=facts)


@cache
def hints(cls: type[DataclassInstance]) -> dict[str, object]:
    """Return the type of every field of a spec class."""
    return typing.get_type_hints(cls)


def plain_type(hint: object) -> type:
    """Return the class of a type hint: int for ``int | None``, dict for ``dict[str, Json]``."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return cast(type, typing.get_origin(hint) or hint)


def from_mapping(
    cls: type[Spec], values: Mapping[str, Json], where: str = "", spell: Callable[[str], str] = str
) -> Spec:
    """Return a spec of class ``cls`` with the ``values`` of a TOML table or of the command line, checked.

    where: comes before the key in errors (``[train] ``). spell: how errors write a key (as an option, say).
    Raises UsageError naming the key, the value and what is valid, for an unknown key (with a suggestion), a wrong
    type, or a value out of range.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}
    clean = {}
    for key, value in values.items():
        if key not in fields:
            raise unknown_value(f"{where}key", key, fields)
        clean[key] = check_field(cls, key, value, f"{where}{spell(key)}")
    try:
        return cls(**clean)
    except UsageError as error:  # the values contradict each other
        raise UsageError(f"{where}{error}") from error


def check_field(cls: type[DataclassInstance], key: str, value: Json, name: str) -> Json:
    """Return ``value`` in the type of the field ``key``, or raise UsageError saying what is expected of ``name``."""
    facts = next(facts_of(f) for f in dataclasses.fields(cls) if f.name == key)
    return _check(name, value, hints(cls)[key], facts)


_TYPE_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "true or false",
    dict: "a table",
    tuple: "a list",
}


def _check(name: str, value: Json, hint: object, facts: Facts) -> Json:
    if value is None and type(None) in typing.get_args(hint):
        return None
    from hpcnn.util.files import fits_64_bits

    wanted = plain_type(hint)
    if isinstance(value, int) and not fits_64_bits(value):
        raise bad_value(name, value, "a number of at most 64 bits")
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if wanted is tuple and isinstance(value, list):
        value = tuple(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise bad_value(name, value, _TYPE_WORDS[wanted])
    if isinstance(value, tuple):  # the facts of a list are those of each item
        return tuple(_check(name, item, typing.get_args(hint)[0], facts) for item in value)
    table = facts.get("table")
    if table and isinstance(value, dict):
        checked = from_mapping(table, value, f"{name}: ")
        return {key: getattr(checked, key) for key in value}
    _check_range(name, value, facts)
    return value


def _check_range(name: str, value: Json, facts: Facts) -> None:
    choices = facts.get("choices")
    if choices and facts.get("own"):
        if value not in choices and ":" not in value:
            raise unknown_value(name, value, choices, forms=["package.module:function"])
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


def to_mapping(spec: DataclassInstance) -> dict[str, Json]:
    """Return a spec as plain dictionaries and lists, ready for JSON."""
    return dataclasses.asdict(spec)


def given(spec: DataclassInstance) -> dict[str, Json]:
    """Return the fields of a spec that differ from their defaults.

    A spec returns the defaults that follow from other fields from its method ``derived_defaults``.
    """
    derived: dict[str, Json] = spec.derived_defaults() if hasattr(spec, "derived_defaults") else {}
    defaults = {**vars(type(spec)()), **derived}
    return {key: value for key, value in vars(spec).items() if value != defaults[key]}
