"""What an epoch and an accuracy cost: hours, charges, energy, carbon, and the sweet spot."""

import pandas as pd
import pytest

from hpcnn.report import Charge, cost_table, load, scaling_table
from hpcnn.util.errors import UsageError


def by_ranks(table):
    return table.set_index("ranks")


def test_hours_are_what_was_held_times_the_median_epoch(run_in, tmp_path):
    run_in("a", ranks=4, seconds=[1800.0], resources={"nodes": 2, "ntasks": 4, "cpus_per_task": 8})
    (row,) = scaling_table(load(tmp_path)).to_dict("records")
    assert row["node_hours_per_epoch"] == 2 * 0.5
    assert row["core_hours_per_epoch"] == 32 * 0.5
    assert row["gpu_hours_per_epoch"] == 0.0


def test_gpu_hours_are_one_gpu_a_rank(run_in, tmp_path):
    run_in("a", ranks=4, seconds=[1800.0], device="NVIDIA H100")
    assert scaling_table(load(tmp_path))["gpu_hours_per_epoch"].tolist() == [2.0]


def test_what_is_not_known_costs_nothing_known(run_in, tmp_path):
    run_in("a", seconds=[1800.0], resources={"nodes": 1, "ntasks": 1}, device=None)
    (row,) = scaling_table(load(tmp_path)).to_dict("records")
    assert row["node_hours_per_epoch"] == 0.5
    assert pd.isna(row["core_hours_per_epoch"])
    assert pd.isna(row["gpu_hours_per_epoch"])


def test_hours_and_charges_to_an_accuracy(run_in, tmp_path):
    # 100 + 1000 + 1400 + 1000 s = 3500 s to the second epoch's end, on 2 cores.
    run_in("a", ranks=2, seconds=[1400.0], accuracies=[0.5, 0.9], site="narval")
    table = cost_table(load(tmp_path), 0.9, charges={"narval": Charge(3.0, 100.0, "SU")})
    (row,) = table.to_dict("records")
    assert row["seconds_to_target"] == 3500
    assert row["core_hours_to_target"] == pytest.approx(2 * 3500 / 3600)
    assert row["charge_to_target"] == pytest.approx(3 * 2 * 3500 / 3600)
    assert row["charge_per_epoch"] == pytest.approx(3 * 2 * 1400 / 3600)
    assert row["charge_unit"] == "SU"


def test_gpus_are_charged_apart(run_in, tmp_path):
    run_in("a", seconds=[3600.0], device="NVIDIA H100", site="narval")
    assert cost_table(load(tmp_path), charges={"narval": Charge(1.0, 10.0)})["charge_per_epoch"].tolist() == [11.0]


def test_runs_of_several_sites_have_no_charge(run_in, tmp_path):
    run_in("a", site="narval")
    run_in("b", site="other")
    charged = cost_table(load(tmp_path), charges={"narval": Charge(1, 0), "other": Charge(1, 0)})
    assert charged["charge_per_epoch"].isna().all()


def test_energy_is_the_median_over_runs_and_carbon_a_stated_factor_of_it(run_in, tmp_path):
    paths = [str(run_in(f"r{n}").path) for n in range(3)]
    joules = dict(zip(paths, (3.6e6, 7.2e6, 36e6), strict=True))
    (row,) = cost_table(load(tmp_path), joules=joules, carbon_g_per_kwh=30.0).to_dict("records")
    assert (row["energy_kwh"], row["carbon_g"]) == (2.0, 60.0)
    (row,) = cost_table(load(tmp_path), joules=joules).to_dict("records")
    assert pd.isna(row["carbon_g"])
    assert cost_table(load(tmp_path))["energy_kwh"].isna().all()
    with pytest.raises(UsageError, match="carbon_g_per_kwh"):
        cost_table(load(tmp_path), carbon_g_per_kwh=-1.0)


def test_the_sweet_spot_is_the_knee(run_in, tmp_path):
    # E/T: 1/16 = 0.0625; 1/8 = 0.125; (16/5/4)/5 = 0.16; (16/4/8)/4 = 0.125.
    for ranks, seconds in {1: 16.0, 2: 8.0, 4: 5.0, 8: 4.0}.items():
        run_in(f"r{ranks}", ranks=ranks, seconds=[seconds])
    assert by_ranks(cost_table(load(tmp_path)))["sweet_spot"].to_dict() == {1: False, 2: False, 4: True, 8: False}


def test_a_single_size_and_weak_scaling_have_no_sweet_spot(run_in, tmp_path):
    run_in("a")
    run_in("b", kind="weak", study="w", samples=1000)
    run_in("c", kind="weak", study="w", ranks=2, samples=2000, batch_size=200)
    assert not cost_table(load(tmp_path))["sweet_spot"].any()


def test_every_row_of_the_scaling_table_has_its_cost(run_in, tmp_path):
    """Also where a run that is too short for one would split the rows of the other."""
    run_in("a", train={"epochs": 3})
    run_in("b", ranks=2, train={"epochs": 3})
    run_in("short", seconds=[], accuracies=[0.9])
    data = load(tmp_path)
    assert len(cost_table(data)) == len(scaling_table(data)) == 2
    assert cost_table(data)["runs"].tolist() == [1, 1]
