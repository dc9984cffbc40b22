"""Columns that have a unit say which."""

import pytest

from hpcnn.analysis.units import unit_of
from hpcnn.report import cost_table, load, proposal_table, scaling_table


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("epoch_seconds_median", "s"),
        ("interval_low", "s"),
        ("images_per_second_high", "1/s"),
        ("node_hours_per_epoch_low", "h"),
        ("hours_high", "h"),
        ("energy_kwh", "kWh"),
        ("allreduce_bytes", "B"),
        ("bytes_per_second", "B/s"),
        ("speedup_low", None),
        ("interval_coverage", None),
        ("ranks", None),
    ],
)
def test_the_unit_of_a_column(column, unit):
    assert unit_of(column) == unit


def test_tables_have_the_units_of_their_columns(run_in, tmp_path):
    run_in("one")
    data = load(tmp_path)
    table = scaling_table(data)
    for found in (table, cost_table(data), proposal_table(data, table)):
        assert "s" in found.attrs["units"].values()
        assert set(found.attrs["units"]) <= set(found.columns)
