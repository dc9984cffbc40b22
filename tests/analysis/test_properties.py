"""What must hold of every table, whatever was measured: order means nothing, and units never mix."""

import functools
import os
import random
from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpcnn.report import RunData, compare_runs, cost_table, cpu_vs_gpu, load, scaling_table, time_to_accuracy

TABLES = {
    "scaling": scaling_table,
    "scaling without outliers": lambda data: scaling_table(data, drop_outliers=True),
    "scaling side by side": lambda data: scaling_table(data, by=["model"]),
    "accuracy": lambda data: time_to_accuracy(data, 0.8),
    "accuracy of all": time_to_accuracy,
    "devices": cpu_vs_gpu,
    "cost": lambda data: cost_table(data, 0.8),
    "comparison": lambda data: compare_runs(*halves(data)),
}
SECONDS = [
    "seconds_total",
    "seconds_compute",
    "seconds_communication",
    "seconds_input",
    "seconds_evaluation",
    "seconds_since_start",
]
pytestmark = pytest.mark.examples
EXAMPLES = 100 if os.environ.get("HPCNN_TEST_LONG") else 4
FEW = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# What grows with the times, what shrinks, and what is of no time at all.
LONGER = ("seconds", "hours", "interval_low", "interval_high", "difference", "charge_per", "charge_to")
SHORTER = ("images_per_second",)
IN_WORDS = ["base_case", "words"]


def halves(data: RunData) -> tuple[RunData, RunData]:
    first = data.runs["study"] == "one"
    return data._replace(runs=data.runs[first]), data._replace(runs=data.runs[~first])


@pytest.fixture(scope="module")
def data(tmp_path_factory, run_at) -> RunData:
    """Two strong studies on CPUs, of which some runs failed, some never got accurate, and some are outliers."""
    top, chance = tmp_path_factory.mktemp("runs"), random.Random(2)
    for number in range(36):
        ranks = (1, 2, 4)[number % 3]
        seconds = [[chance.uniform(1, 9) for _ in range(ranks)] for _ in range(5)]
        seconds[3] = [own * (20 if number % 4 == 0 else 1) for own in seconds[3]]
        run_at(
            top / f"r{number}",
            ranks=ranks,
            seconds=seconds,
            status="failed" if number == 5 else "completed",
            study=("one", "two")[number % 2],
            accuracies=[0.5, 0.6, chance.uniform(0.6, 0.9), 0.7, 0.9 if number % 7 else 0.7, 0.9],
            accuracy=chance.uniform(0.8, 0.9),
        )
    return load(top)


@pytest.fixture(scope="module")
def table_of(data) -> Callable[[str], pd.DataFrame]:
    """Return a function that gives the table of a name, made once."""
    return functools.cache(lambda name: TABLES[name](data))


@pytest.mark.parametrize("name", TABLES)
@given(seed=st.integers(0, 2**32 - 1))
@FEW
def test_the_order_of_the_input_changes_no_number(data, table_of, name, seed):
    shuffled = RunData(*(frame.sample(frac=1, random_state=seed) for frame in data))
    pd.testing.assert_frame_equal(table_of(name), TABLES[name](shuffled), rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in TABLES if name != "devices"])
@given(factor=st.floats(1e-3, 1e3))
@FEW
def test_times_scale_what_is_a_time_and_nothing_else(data, table_of, name, factor):
    scaled = data._replace(epochs=data.epochs.assign(**{key: data.epochs[key] * factor for key in SECONDS}))
    table, other = table_of(name), TABLES[name](scaled)
    expected = table.copy()
    for key in table:
        if any(part in key for part in SHORTER):
            expected[key] = table[key] / factor
        elif any(part in key for part in LONGER):
            expected[key] = table[key] * factor
    words = [key for key in IN_WORDS if key in table]
    pd.testing.assert_frame_equal(expected.drop(columns=words), other.drop(columns=words))


def test_a_repeated_study_changes_the_runs_and_no_summary(data):
    """Every run twice: medians, extremes and ratios stay; only what counts runs or depends on their number moves."""
    again = [frame.assign(path=frame["path"] + "-again") for frame in data]
    twice = RunData(*(pd.concat(pair, ignore_index=True) for pair in zip(data, again, strict=True)))
    one, two = scaling_table(data), scaling_table(twice)
    same = ["epoch_seconds_median", "epoch_seconds_min", "epoch_seconds_max", "speedup", "efficiency", "test_accuracy"]
    pd.testing.assert_frame_equal(one[same], two[same])
    assert (two["runs"] == 2 * one["runs"]).all()
    assert (two["interval_coverage"] > one["interval_coverage"] - 0.05).all()
