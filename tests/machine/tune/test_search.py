"""Which settings are kept, and what is done about trials that fail: with trials whose images/s are given."""

import pytest

from hpcnn.machine.tune.knobs import Knob, knobs, same
from hpcnn.machine.tune.rule import is_faster, is_slower, ratio
from hpcnn.machine.tune.search import TrialFailed, search
from hpcnn.util.errors import RunError

A = Knob("A", "", "0", ("0", "1", "2"))
B = Knob("B", "", "x", ("x", "y"))


class Machine:
    """Measures 100 images/s times the factor of each setting; some settings crash, and trials may vary in turn."""

    def __init__(self, factors, crashes=(), noise=(1.0,)):
        self.factors, self.crashes, self.noise, self.asked = factors, crashes, noise, []

    def measure(self, settings):
        self.asked.append(dict(settings))
        if any(setting in self.crashes for setting in settings.items()):
            raise TrialFailed("exit status 1: killed")
        rate = 100.0 * self.noise[len(self.asked) % len(self.noise)]
        for setting in settings.items():
            rate *= self.factors.get(setting, 1.0)
        return rate


@pytest.mark.parametrize(
    ("candidate", "base", "faster"),
    [
        ((103, 104, 105), (100, 101, 99), True),
        ((101, 101.5, 101.9), (100, 100, 100), False),  # less than 2 %
        ((110, 120, 99), (100, 101, 99), False),  # one trial is not above the base's median
        ((103,), (100,), True),
        ((102,), (100,), False),  # not more than 2 %
    ],
)
def test_a_setting_is_faster_beyond_the_noise_alone(candidate, base, faster):
    assert is_faster(candidate, base) is faster


def test_what_fell_below_every_trial_without_it_is_hopeless():
    assert is_slower((120, 98), (99, 101))
    assert not is_slower((120, 100), (99, 101))


def test_the_ratio_is_of_the_medians_and_its_range_of_the_pairs():
    found = ratio((110, 120, 130), (100, 100, 130))
    assert (found.median, found.low, found.high) == (1.2, 1.0, 1.2)


def test_the_best_value_of_each_knob_is_kept_and_the_next_is_tried_with_it():
    machine = Machine({("A", "1"): 1.1, ("A", "2"): 1.3, ("B", "y"): 0.9})
    found = search([A, B], {}, machine.measure, repeats=2)
    assert found.settings == {"A": "2"}
    assert {(one.variable, one.value): one.verdict for one in found.tried} == {
        ("A", "1"): "faster",
        ("A", "2"): "kept",
        ("B", "y"): "given up",
    }
    assert {"A": "2", "B": "y"} in machine.asked
    assert found.together.row()["ratio"] == pytest.approx(1.3)


def test_trials_are_done_in_turn():
    machine = Machine({("A", "1"): 1.1, ("A", "2"): 1.2})
    search([A], {}, machine.measure, repeats=2)
    assert machine.asked[:6] == [{}, {"A": "1"}, {"A": "2"}] * 2
    assert machine.asked[6:] == [{}, {"A": "2"}] * 2


def test_the_value_that_holds_now_is_not_tried_and_the_default_is():
    machine = Machine({("A", "0"): 1.5})
    found = search([A], {"A": "1.0"}, machine.measure, repeats=1)
    assert found.settings == {"A": "0"}
    assert {"A": "1"} not in machine.asked


def test_nothing_is_kept_where_nothing_helps():
    found = search([A, B], {}, Machine({}).measure, repeats=3)
    assert (found.settings, found.together) == ({}, None)


def test_what_does_not_help_in_the_end_is_not_kept():
    class Lucky(Machine):
        def measure(self, settings):
            self.asked.append(settings)
            return 120.0 if settings and len(self.asked) <= 4 else 100.0

    found = search([B], {}, Lucky({}).measure, repeats=2)
    assert found.tried[0].verdict == "kept"
    assert (found.settings, found.together.verdict) == ({}, "not faster")


@pytest.mark.parametrize("completed", [0, 1])
def test_what_fails_in_the_end_is_not_kept(completed):
    """All that was kept together, at once or in a later trial."""
    machine = Machine({("A", "1"): 1.1, ("A", "2"): 1.3})
    trials = []

    def measure(settings):
        trials.append(settings)
        of_all = (
            len(trials) - 6
        )  # two of each of two values, with one of the base before them: four, and the base twice
        if of_all > 0 and settings and of_all > 2 * completed + 1:
            raise TrialFailed("exit status 137: ended by SIGKILL")
        return machine.measure(settings)

    found = search([A], {}, measure, repeats=2)
    assert found.settings == {}
    assert (found.together.verdict, len(found.together.rates)) == ("failed", completed)
    assert "SIGKILL" in found.together.row()["reason"]


def test_a_trial_that_fails_is_reported_and_its_setting_left_out():
    machine = Machine({("A", "2"): 1.2}, crashes={("A", "1")})
    found = search([A], {}, machine.measure, repeats=3)
    assert found.settings == {"A": "2"}
    failed = found.tried[0].row()
    assert (failed["verdict"], failed["reason"], failed["ratio"]) == ("failed", "exit status 1: killed", None)
    assert machine.asked.count({"A": "1"}) == 1


def test_settings_that_hold_now_and_fail_end_the_search():
    def broken(settings):
        raise TrialFailed("exit status 1")

    with pytest.raises(RunError, match="settings that hold now did not complete: exit status 1"):
        search([A], {}, broken, repeats=1)


def test_one_rank_has_threads_alone_to_tune():
    assert {knob.variable for knob in knobs("horovod", 1, 4)} == {knob.variable for knob in knobs("serial", 1, 4)}
    assert len(knobs("horovod", 2, 1)) > len(knobs("serial", 1, 1))


def test_a_task_of_one_core_has_no_half_thread():
    assert all("0.5" not in knob.values for knob in knobs("serial", 1, 1))


def test_every_default_is_among_the_values():
    for knob in knobs("horovod", 2, 4):
        assert any(same(knob.default, value) for value in knob.values)
