"""A clock for tests of waiting: pauses pass at once, and things happen at their times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from hpcnn.jobs import patience, watch
from hpcnn.study import wait


@dataclass
class Clock:
    """Seconds since the test began, the pauses so far, and what is still to happen."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)
    plans: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def at(self, second: float, function: Callable[..., object], *arguments: object) -> None:
        """Call a function in the pause in which this second comes."""
        self.plans.append((second, lambda: function(*arguments)))

    def sleep(self, seconds: float) -> None:
        """Let a pause pass. A wait that takes ten hours would never end."""
        assert self.now < 36000
        self.now += seconds
        self.pauses.append(seconds)
        due = [plan for plan in self.plans if plan[0] <= self.now]
        self.plans = [plan for plan in self.plans if plan[0] > self.now]
        for _, function in due:
            function()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a clock in place of that of the modules that wait; subprocess keeps the real one."""
    found = Clock()
    for module in (patience, watch, wait):
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=found.sleep, monotonic=lambda: found.now))
    return found
