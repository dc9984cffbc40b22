"""Two sets of runs: the shift between them, its interval and test, and words that claim no more than the data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from hpcnn.report import compare, compare_runs, differing, load
from hpcnn.stats.rank_tests import _tail_probabilities, shift, values_needed
from hpcnn.util.errors import UsageError


def test_the_distribution_of_the_statistic_is_that_of_scipy():
    """The one-sided exact p value of the arrangement with statistic u is P(U <= u)."""
    for n, m in [(1, 3), (3, 4), (5, 5), (6, 4), (8, 7)]:
        tail = _tail_probabilities(n, m)
        assert tail[0] == pytest.approx(1 / math.comb(n + m, n))
        for u in range(len(tail)):
            positions = next(p for p in _arrangements(n, m, u))
            a = [position for position in range(n + m) if position in positions]
            b = [position for position in range(n + m) if position not in positions]
            p = mannwhitneyu(a, b, alternative="less", method="exact")
            assert p.statistic == u
            assert tail[u] == pytest.approx(p.pvalue)


def _arrangements(n, m, u):
    """Yield one set of positions of a among n + m whose statistic (pairs in which a is larger) is u."""
    positions = list(range(n))
    left = u
    for i in reversed(range(n)):
        step = min(left, m)
        positions[i] += step
        left -= step
    yield set(positions)


def test_many_values_go_over_into_the_normal_distribution():
    exact, normal = _tail_probabilities(50, 50), _tail_probabilities(50, 51)
    assert len(normal) == (50 * 51 - 1) // 2 + 1
    for k, z in [(900, 900), (1100, 1100)]:
        assert normal[z] == pytest.approx(exact[k], abs=0.06)
    assert normal[-1] == pytest.approx(0.5, abs=0.01)


def test_a_shift_by_hand():
    # Pairs b - a: 3 5 7, 2 4 6, 0 2 4: median 4; b is larger in 8 of 9 and equal in none but one.
    found = shift([1, 2, 4], [4, 6, 8])
    assert found.difference == 4
    assert (found.low, found.high) == (0, 7)
    assert found.coverage == pytest.approx(1 - 2 / 20)
    assert found.effect_size == pytest.approx(8 / 9)


def test_values_needed_for_an_interval():
    assert [values_needed(confidence) for confidence in (0.9, 0.95, 0.99)] == [3, 4, 5]
    for n in (3, 4):
        found = shift([0.0] * n, [1.0] * n)
        assert (found.coverage >= 0.95) == (n == 4)


@pytest.mark.parametrize(("n", "m"), [(4, 4), (6, 5), (9, 12)])
def test_the_interval_covers_as_often_as_it_says(n, m):
    """Two exponential samples, one shifted by 2: over 500 seeds, within three standard errors or so."""
    chance = np.random.default_rng(n * m)
    intervals = [shift(chance.exponential(1.0, n), chance.exponential(1.0, m) + 2.0) for _ in range(500)]
    covered = np.mean([interval.low <= 2.0 <= interval.high for interval in intervals])
    assert covered >= intervals[0].coverage - 0.03
    assert covered <= 0.999


def test_no_more_false_alarms_than_were_asked_for():
    chance = np.random.default_rng(7)
    verdicts = [compare(chance.lognormal(0, 0.3, 6), chance.lognormal(0, 0.3, 6)).conclusive for _ in range(500)]
    assert 0.01 < np.mean(verdicts) <= 0.07


values = st.lists(st.integers(1, 10_000).map(float), min_size=1, max_size=12)


@given(values, values)
def test_b_against_a_is_a_against_b_reversed(a, b):
    there, back = shift(a, b), shift(b, a)
    assert (there.low, there.high) == (-back.high, -back.low)
    assert there.difference == pytest.approx(-back.difference)
    assert there.effect_size == pytest.approx(-back.effect_size)
    assert there.p_value == pytest.approx(back.p_value)


@given(values, values, st.sampled_from([0.5, 2.0, 1024.0]), st.randoms())
def test_units_and_order_of_a_shift(a, b, factor, chance):
    one = shift(a, b)
    other = shift([v * factor for v in chance.sample(a, len(a))], [v * factor for v in chance.sample(b, len(b))])
    assert other[:3] == pytest.approx(tuple(value * factor for value in one[:3]))
    assert other[3:] == pytest.approx(one[3:], nan_ok=True)


def test_words_say_what_the_data_say():
    slower = compare([1.0, 1.1, 1.2, 1.3], [2.0, 2.1, 2.2, 2.3])
    assert slower.conclusive
    assert slower.words.startswith("B is slower (B - A from +0.700 to +1.30 s, 97.1% interval")
    assert compare([2.0, 2.1, 2.2, 2.3], [1.0, 1.1, 1.2, 1.3]).words.startswith("B is faster")
    same = compare([1.0, 1.1, 1.2, 1.3], [1.05, 1.15, 1.25, 0.9])
    assert not same.conclusive
    assert same.words.startswith("no difference shown, which does not prove that there is none")


def test_too_few_runs_give_no_verdict_however_far_apart():
    found = compare([1.0, 1.0, 1.0], [100.0, 100.0, 100.0])
    assert not found.conclusive
    assert found.words == (
        "no verdict: 3 runs of A and 3 of B give no 95 % interval, 4 and 4 do (seen: B - A = +99.0 s)"
    )


def test_an_empty_set_and_a_missing_value_are_refused():
    with pytest.raises(ValueError, match="without values"):
        compare([], [1.0])
    with pytest.raises(ValueError, match="missing"):
        compare([1.0, math.nan], [1.0])


@pytest.fixture
def sets(tmp_path, run_at):
    """Return a function that writes one set of runs: seconds by ranks."""

    def write(name, seconds_of, **facts):
        for ranks, seconds in seconds_of.items():
            for n, own in enumerate(seconds):
                run_at(tmp_path / name / f"{ranks}-{n}", ranks=ranks, seconds=[own, own], **facts)
        return load(tmp_path / name)

    return write


def test_runs_are_compared_by_configuration(sets):
    a = sets("a", {1: [10.0, 11.0, 12.0, 13.0], 2: [6.0, 6.05, 6.15, 6.25, 6.3], 4: [4.0]}, accuracy=0.9)
    b = sets("b", {1: [10.5, 11.5, 12.5, 10.9], 2: [8.0, 8.05, 8.15, 8.25, 8.3]}, accuracy=0.8)
    table = compare_runs(a, b).set_index("ranks")
    assert table["conclusive"].to_dict() == {1: False, 2: True, 4: False}
    assert table["change"][2] == pytest.approx(8.15 / 6.15 - 1)
    assert table["difference"][2] == pytest.approx(2.0)
    assert table["effect_size"][2] == 1.0
    assert table[["test_accuracy_a", "test_accuracy_b"]].loc[2].tolist() == [0.9, 0.8]
    assert table["words"][4] == "only in A"
    assert table[["runs_a", "runs_b"]].loc[4].tolist() == [1, 0]


def test_what_is_constant_in_each_set_is_what_is_compared(sets):
    a = sets("a", {1: [10.0]}, cpu_model="old", train={"fusion": 0}, study="before")
    b = sets("b", {1: [9.0]}, cpu_model="new", train={"fusion": 64}, study="after")
    assert compare_runs(a, b)["runs_b"].tolist() == [1]
    assert differing(a, b) == {
        "study": ("before", "after"),
        "cpu_model": ("old", "new"),
        "train_fusion": ("0", "64"),
    }


def test_a_setting_that_varies_within_a_set_is_matched(sets, tmp_path, run_at):
    for name, seconds in (("a", 10.0), ("b", 5.0)):
        for precision in ("float32", "bfloat16"):
            run_at(tmp_path / name / precision, seconds=[seconds], train={"precision": precision})
    table = compare_runs(load(tmp_path / "a"), load(tmp_path / "b"))
    assert table[["precision", "runs_a", "runs_b"]].to_numpy().tolist() == [["bfloat16", 1, 1], ["float32", 1, 1]]


@pytest.mark.parametrize("facts", [{"samples": 2000}, {"batch_size": 50}, {"train": {"model": "other"}}])
def test_other_work_is_not_compared(sets, facts):
    a, b = sets("a", {1: [10.0]}), sets("b", {1: [10.0]}, **facts)
    with pytest.raises(UsageError, match="no configuration in common"):
        compare_runs(a, b)


def test_a_set_of_several_machines_is_refused(sets, tmp_path, run_at):
    b = sets("b", {1: [10.0]})
    run_at(tmp_path / "a" / "one", cpu_model="old")
    run_at(tmp_path / "a" / "two", cpu_model="new")
    with pytest.raises(UsageError, match=r"A: its runs are of several machines \('new' and 'old'\)"):
        compare_runs(load(tmp_path / "a"), b)


def test_a_run_in_both_sets_is_refused(sets):
    a = sets("a", {1: [10.0]})
    with pytest.raises(UsageError, match="A and B share 1 run"):
        compare_runs(a, a)


def test_a_set_in_which_nothing_counts_is_refused(sets):
    a, b = sets("a", {1: [10.0]}), sets("b", {1: [10.0]}, status="failed")
    with pytest.raises(UsageError, match="B: no run can be counted"):
        compare_runs(a, b)
