"""How often the tests and decisions of a comparison are wrong, over 500 simulated studies of laws and noise of our own.

A rate that should be 5 % is one of 500 studies: it may be 7.9 % by chance (three binomial errors), and no more.
"""

import numpy as np
import pandas as pd
import pytest

from hpcnn.analysis.compare import compare, relative_shift, together
from hpcnn.analysis.regression import decide
from hpcnn.stats.rank_tests import p_of_no_shift

STUDIES = 500
LEVEL = 0.05 + 3 * np.sqrt(0.05 * 0.95 / STUDIES)


def false_alarms(n, m, spread, chance):
    """Return how often two sets that differ in nothing but their spread are told apart."""
    sets = ((chance.normal(size=n), spread * chance.normal(size=m)) for _ in range(STUDIES))
    return np.mean([p_of_no_shift(a, b) <= 0.05 for a, b in sets])


@pytest.mark.long
@pytest.mark.parametrize(("n", "m"), [(4, 4), (6, 6), (10, 10), (20, 8), (20, 5), (12, 4), (10, 5)])
@pytest.mark.parametrize("spread", [1, 4])
def test_sets_without_a_difference_are_told_apart_no_more_often_than_asked(n, m, spread):
    assert false_alarms(n, m, spread, np.random.default_rng(n * m + spread)) <= LEVEL


def judged(a, b, allowed):
    """Return the exit status for lists of sets of runs, one a configuration."""
    rows = []
    for one, other in zip(a, b, strict=True):
        relative = relative_shift(one, other, allowed=allowed)
        found = compare(one, other)._asdict()
        rows.append({"runs_a": len(one), "runs_b": len(other), **found, "change_low": relative.low})
        rows[-1] |= {"change_high": relative.high, "p_allowed": relative.p_allowed}
    table = together(pd.DataFrame(rows), 0.95)
    found = decide(table, [str(n) for n in range(len(rows))], allowed, 1.0, 0.95)
    return 1 if found.worse else 2 if found.undecided else 0, bool(table["conclusive"].any())


def statuses(change, noise, runs, configurations=1, allowed=0.05, studies=STUDIES):
    """Return the fractions of exit status 0, 1 and 2, and of studies with a conclusive difference."""
    chance = np.random.default_rng(7)
    counts, alarms = np.zeros(3), 0
    for _ in range(studies):
        a, b = np.exp(noise * chance.standard_normal((2, configurations, runs)))
        status, alarm = judged(a, b * (1 + change), allowed)
        counts[status] += 1
        alarms += alarm
    return counts / studies, alarms / studies


@pytest.mark.long
def test_a_slowdown_at_the_bound_passes_and_fails_no_more_often_than_asked():
    """A bound is wrong on either side with 2.5 %: the interval has two ends."""
    (passed, failed, _), _ = statuses(0.05, 0.05, 8)
    assert passed <= LEVEL / 2 + 0.01
    assert failed <= LEVEL / 2 + 0.01


@pytest.mark.long
@pytest.mark.parametrize("noise", [0.02, 0.10])
def test_a_slowdown_of_a_fifth_does_not_pass(noise):
    (passed, failed, _), _ = statuses(0.20, noise, 6)
    assert passed <= 0.01
    assert failed >= (0.99 if noise == 0.02 else 0.1)


@pytest.mark.long
def test_what_is_as_fast_passes_where_the_runs_are_quiet():
    (passed, failed, _), _ = statuses(0.0, 0.01, 6)
    assert passed >= 0.95
    assert failed == 0


@pytest.mark.long
def test_twenty_configurations_raise_no_more_false_alarms_than_one():
    (_, failed, _), alarms = statuses(0.0, 0.05, 7, configurations=20, allowed=0.0, studies=200)
    assert alarms <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
    assert failed <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
