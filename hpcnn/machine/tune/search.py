"""Search for the fastest settings, one knob after the other; trials of each value alternate with the current settings.

Greedy, because the full product of the values would take hours, and because the knobs are nearly independent. At the
end all kept settings together are measured against the initial ones. Must not import jobs: the caller measures.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from hpcnn.machine.tune.knobs import Knob
from hpcnn.machine.tune.rule import is_faster, is_slower, ratio
from hpcnn.util.errors import RunError

Settings = dict[str, str]


class CandidateRow(TypedDict):
    """One row of the result of ``hpcnn tune``; numbers are None if no trial completed."""

    setting: str
    value: str
    instead_of: str
    trials: int
    images_per_second: float | None
    base_images_per_second: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    verdict: str
    reason: str | None


class TrialFailed(RunError):
    """A trial did not complete: the search reports it, and drops its setting."""


@dataclass
class Candidate:
    """One value of one knob: images/s of its trials, and of the alternating trials of the base without it."""

    variable: str
    value: str
    base_value: str
    rates: list[float] = field(default_factory=list)
    base: list[float] = field(default_factory=list)
    verdict: str = "not faster"
    reason: str | None = None

    def row(self) -> CandidateRow:
        """Return the candidate as a row of the result."""
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
class TuningResult:
    """The result of the search: settings to keep, all candidates, and the final one of all kept settings together."""

    settings: Settings
    tried: list[Candidate]
    together: Candidate | None


def search(
    knobs: Sequence[Knob], start: Mapping[str, str], measure: Callable[[Settings], float], repeats: int
) -> TuningResult:
    """Try every knob, and return the settings to keep.

    start: the current values of variables. measure: runs one trial with additional variables and returns images/s;
    raises TrialFailed. Raises RunError if a trial with the current settings does not complete.
    """
    kept: Settings = {}
    tried: list[Candidate] = []
    for knob in knobs:
        settings = {**start, **kept}
        now = settings.get(knob.variable, knob.default)
        values = [Candidate(knob.variable, value, now) for value in knob.candidates(settings)]
        _measure_knob(values, kept, measure, repeats)
        tried += values
        faster = [one for one in values if one.verdict == "faster"]
        if faster:
            best = max(faster, key=lambda one: statistics.median(one.rates))
            best.verdict = "kept"
            kept[best.variable] = best.value
    if not kept:
        return TuningResult({}, tried, None)
    together = Candidate("all that was kept", "", "")
    _alternate([together], {}, lambda one: kept, measure, repeats)
    if together.verdict != "failed":  # one trial of it that does not complete is enough, whatever the others were
        together.verdict = "kept" if is_faster(together.rates, together.base) else "not faster"
    return TuningResult(kept if together.verdict == "kept" else {}, tried, together)


def _measure_knob(
    values: Sequence[Candidate], kept: Settings, measure: Callable[[Settings], float], repeats: int
) -> None:
    """Measure the values of one knob against the settings kept so far, and mark those that are faster."""
    _alternate(values, kept, lambda one: {**kept, one.variable: one.value}, measure, repeats)
    for one in values:
        if one.verdict not in ("failed", "given up") and is_faster(one.rates, one.base):
            one.verdict = "faster"


def _alternate(
    values: Sequence[Candidate],
    base: Settings,
    settings_of: Callable[[Candidate], Settings],
    measure: Callable[[Settings], float],
    repeats: int,
) -> None:
    """Run trials of the base and of each candidate in turn, and record their images/s."""
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
            if is_slower(one.rates, one.base):
                one.verdict = "given up"


def _base(settings: Settings, measure: Callable[[Settings], float]) -> float:
    try:
        return measure(settings)
    except TrialFailed as error:
        raise RunError(f"a trial with the settings that hold now did not complete: {error}") from error
