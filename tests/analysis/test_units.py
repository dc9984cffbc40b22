"""Columns that have a unit say which."""

import pandas as pd
import pytest

from hpcnn.analysis.units import unit_of
from hpcnn.report import (
    compare_runs,
    cost_table,
    cpu_vs_gpu,
    jitter_table,
    lectures_table,
    load,
    pop_table,
    proposal_table,
    quality_table,
    roofline_table,
    scaling_table,
    time_to_accuracy,
    usage_table,
)


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("epoch_seconds_median", "s"),
        ("interval_low", "s"),
        ("images_per_second_high", "1/s"),
        ("node_hours_per_epoch_low", "h"),
        ("hours_high", "h"),
        ("energy_kwh", "kWh"),
        ("flops_per_image", "flop"),
        ("memory_peak_bytes", "B"),
        ("allreduce_bytes", "B"),
        ("bytes_per_second", "B/s"),
        ("speedup_low", None),
        ("interval_coverage", None),
        ("ranks", None),
    ],
)
def test_the_unit_of_a_column(column, unit):
    assert unit_of(column) == unit


def test_each_column_of_numbers_in_each_table_has_a_unit(run_in, run_at, tmp_path):
    run_in("one")
    data = load(tmp_path)
    other = load(run_at(tmp_path / "other" / "one").path)
    scaling = scaling_table(data)
    tables = {
        "scaling": scaling,
        "accuracy": time_to_accuracy(data),
        "devices": cpu_vs_gpu(data),
        "lectures": lectures_table(data),
        "cost": cost_table(data),
        "roofline": roofline_table(scaling, data),
        "pop": pop_table(data, scaling),
        "jitter": jitter_table(data, scaling),
        "usage": usage_table(data, scaling),
        "proposal": proposal_table(data, scaling),
        "quality": quality_table(data, scaling),
        "compared": compare_runs(data, other),
    }
    for name, table in tables.items():
        units = table.attrs["units"]
        assert set(units) <= set(table.columns), name
        numbers = {
            column
            for column in table
            if pd.api.types.is_numeric_dtype(table[column]) and not pd.api.types.is_bool_dtype(table[column])
        }
        assert {column for column in numbers if not column.startswith("charge_")} <= set(units), name


def test_counts_and_fractions_have_the_unit_one(run_in, tmp_path):
    run_in("one")
    units = scaling_table(load(tmp_path)).attrs["units"]
    assert units["ranks"] == units["efficiency"] == units["share_input"] == "1"
    assert units["epoch_seconds_median"] == "s"
    assert "model" not in units
    assert "base" not in units
