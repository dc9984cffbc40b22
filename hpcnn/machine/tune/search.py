"""The search: one knob after the other, from the settings that hold now, each value beside them in turn.

Greedy, because a full product of the values would take hours, and because the knobs are nearly independent. At the end
all that was kept is measured once more against the beginning. Knows nothing of jobs or files: ``measure`` does the
trials.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpcnn.machine.tune.knobs import Knob
from hpcnn.machine.tune.rule import is_faster, is_hopeless, ratio
from hpcnn.util.errors import RunError

Settings = dict[str, str]


class TrialFailed(RunError):
    """A trial that did not complete: it is reported, and its setting is left out."""


@dataclass
class Tried:
    """One value of one knob: images/s of its trials, and of the trials beside them without it."""

    variable: str
    value: str
    base_value: str
    rates: list[float] = field(default_factory=list)
    base: list[float] = field(default_factory=list)
    verdict: str = "not faster"
    reason: str | None = None

    def row(self) -> dict[str, Any]:
        """Return it as one row of the result; numbers are None where no trial completed."""
        found = ratio(self.rates, self.base) if self.rates else None
        return {
            "setting": self.variable,
            "value": self.value,
            "instead_of": self.base_value,
            "trials": len(self.rates),
            "images_per_second": statistics.median(self.rates) if self.rates else None,
            "base_images_per_second": statistics.median(self.base) if self.base else None,
            "ratio": found.median if found else None,
            "ratio_low": found.low if found else None,
            "ratio_high": found.high if found else None,
            "verdict": self.verdict,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Found:
    """What the search found: the settings to keep (empty: none), every value tried, and all together at the end."""

    settings: Settings
    tried: list[Tried]
    together: Tried | None


def search(
    knobs: Sequence[Knob], start: Mapping[str, str], measure: Callable[[Settings], float], repeats: int
) -> Found:
    """Try every knob and return what to keep.

    start: the variables that hold now. measure: does one trial with these variables besides and returns images/s;
    raises TrialFailed. Raises RunError where the settings that hold now do not complete.
    """
    kept: Settings = {}
    tried: list[Tried] = []
    for knob in knobs:
        settings = {**start, **kept}
        now = settings.get(knob.variable, knob.default)
        values = [Tried(knob.variable, value, now) for value in knob.candidates(settings)]
        _in_turn(values, kept, measure, repeats)
        tried += values
        faster = [one for one in values if one.verdict == "faster"]
        if faster:
            best = max(faster, key=lambda one: statistics.median(one.rates))
            best.verdict = "kept"
            kept[best.variable] = best.value
    if not kept:
        return Found({}, tried, None)
    together = Tried("all that was kept", "", "")
    _measure_beside([together], {}, lambda one: kept, measure, repeats)
    together.verdict = "kept" if is_faster(together.rates, together.base) else "not faster"
    return Found(kept if together.verdict == "kept" else {}, tried, together)


def _in_turn(values: Sequence[Tried], kept: Settings, measure: Callable[[Settings], float], repeats: int) -> None:
    """Measure what is kept so far and each value of one knob in turn, and judge each value."""
    _measure_beside(values, kept, lambda one: {**kept, one.variable: one.value}, measure, repeats)
    for one in values:
        if one.verdict not in ("failed", "given up") and is_faster(one.rates, one.base):
            one.verdict = "faster"


def _measure_beside(
    values: Sequence[Tried],
    base: Settings,
    settings_of: Callable[[Tried], Settings],
    measure: Callable[[Settings], float],
    repeats: int,
) -> None:
    for _ in range(repeats):
        left = [one for one in values if one.verdict not in ("failed", "given up")]
        if not left:
            return
        rate = _base(base, measure)
        for one in left:
            one.base.append(rate)
            try:
                one.rates.append(measure(settings_of(one)))
            except TrialFailed as error:
                one.verdict, one.reason = "failed", str(error)
                continue
            if is_hopeless(one.rates, one.base):
                one.verdict = "given up"


def _base(settings: Settings, measure: Callable[[Settings], float]) -> float:
    try:
        return measure(settings)
    except TrialFailed as error:
        raise RunError(f"a trial with the settings that hold now did not complete: {error}") from error
