"""The search space: lists of values and ranges of numbers, and Optuna's distributions of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpcnn.specs.fields import REQUIRED, check_field, field, from_mapping, hints, plain_type
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# More are a mistake, and would be made one by one before anything is said.
MOST_TRIALS = 100_000
_SCALARS = (bool, int, float, str)


@dataclass(frozen=True)
class Values:
    """A parameter with a list of values."""

    items: tuple[Json, ...]


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high``, both included.

    log: uniform over orders of magnitude. step: only low, low + step, ... . whole: whole numbers only.
    """

    low: float = field(REQUIRED, "Smallest value.")
    high: float = field(REQUIRED, "Largest value.")
    log: bool = field(False, "Even over orders of magnitude.")
    step: float | None = field(None, "Distance of neighbouring values.", above=0.0)
    whole: bool = False


Dimension = Values | Range


def dimension(key: str, given: Json, where: str) -> Dimension:
    """Parse the values of a parameter, by its full name. Raises UsageError naming ``where``."""
    if isinstance(given, Mapping):
        return _range(key, given, where)
    if not isinstance(given, list) or not given:
        raise bad_value(where, given, "a list of values, or a range: {low = ..., high = ...}")
    items = tuple(_value(key, item, where) for item in given)
    if len({(type(item), item) for item in items}) < len(items):
        raise bad_value(where, given, "a list without a value that occurs twice")
    return Values(items)


def check_count(trials: int, where: str) -> None:
    """Raise UsageError for more trials than a search may have, before they take all memory."""
    if trials > MOST_TRIALS:
        raise UsageError(f"{where}: makes {trials:,} trials; expected at most {MOST_TRIALS:,}")


def points(dimension: Dimension, where: str) -> list[Json]:
    """Return all values of a parameter, for a grid. Raises UsageError for a range without a step."""
    if isinstance(dimension, Values):
        return list(dimension.items)
    step = dimension.step or (1.0 if dimension.whole and not dimension.log else None)
    if step is None:
        raise UsageError(f"{where}: a grid needs a list of values, or a range with a step")
    count = int((dimension.high - dimension.low) / step * (1 + 1e-12)) + 1
    check_count(count, where)
    values = [dimension.low + number * step for number in range(count)]
    return [int(value) for value in values] if dimension.whole else [float(f"{value:.12g}") for value in values]


def distribution(dimension: Dimension) -> BaseDistribution:
    """Return Optuna's distribution of a dimension."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Values):
        return CategoricalDistribution(dimension.items)
    low, high, log, step = dimension.low, dimension.high, dimension.log, dimension.step
    if dimension.whole:
        return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
    return FloatDistribution(low, high, log=log, step=step)


def short(key: str) -> str:
    """Return the short name of a parameter: without its table, unless a keyword has the name of a field."""
    section, _, name = key.partition(".")
    return key if section == "model" and name in hints(TrainSpec) else name


def _value(key: str, value: Json, where: str) -> Json:
    section, _, name = key.partition(".")
    if section == "train":
        value = check_field(TrainSpec, name, value, where)
    if not isinstance(value, _SCALARS):
        raise bad_value(where, value, "a number, a text, true or false")
    return value


def _range(key: str, given: Mapping[str, Json], where: str) -> Range:
    for end in ("low", "high"):
        if end not in given:
            raise UsageError(f"{where}: a range needs low and high, and has no {end}")
    if "whole" in given:
        raise UsageError(f"{where}: key 'whole' is not known. Valid: low, high, log, step.")
    found = from_mapping(Range, given, f"{where} ")
    numbers = [given[name] for name in ("low", "high", "step") if name in given]
    whole = all(isinstance(number, int) for number in numbers)
    section, _, name = key.partition(".")
    if section == "train":
        kind = plain_type(hints(TrainSpec)[name])
        if kind not in (int, float):
            raise bad_value(where, dict(given), "a list of values: only numbers have ranges")
        if kind is int and not whole:
            raise bad_value(where, dict(given), "whole numbers for low, high and step")
        whole = kind is int
        for number in (found.low, found.high):
            check_field(TrainSpec, name, int(number) if whole else number, where)
    if found.low >= found.high:
        raise bad_value(f"{where} low", given["low"], f"less than high, {given['high']}")
    if found.log and found.low <= 0:
        raise bad_value(f"{where} low", given["low"], "more than 0 where log is true")
    if found.log and found.step is not None:
        raise bad_value(f"{where} step", given["step"], "no value where log is true")
    return dataclasses.replace(found, whole=whole)
