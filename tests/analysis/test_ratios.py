"""Intervals of speed-up, efficiency, throughput and hours: by hand, and how often they hold the truth."""

import numpy as np
import pandas as pd
import pytest

from hpcnn.analysis.ratios import with_ratios
from hpcnn.report import cost_table, load, scaling_table


def test_the_interval_is_that_of_the_ratios_of_runs(run_in, tmp_path):
    one, two = (10.0, 10.1, 10.2, 10.3), (5.0, 5.2, 5.4, 5.6)
    for n in range(4):
        run_in(f"one{n}", repeat=n, seconds=[one[n]])
        run_in(f"two{n}", ranks=2, repeat=n, seconds=[two[n]])
    base, row = scaling_table(load(tmp_path)).to_dict("records")
    ratios = sorted(a / b for a in one for b in two)
    assert (row["speedup_low"], row["speedup_high"]) == pytest.approx((ratios[0], ratios[-1]))
    assert (row["efficiency_low"], row["efficiency_high"]) == pytest.approx((ratios[0] / 2, ratios[-1] / 2))
    assert row["ratio_coverage"] == pytest.approx(1 - 2 / 70)
    assert (row["images_per_second_low"], row["images_per_second_high"]) == pytest.approx((1000 / 5.6, 1000 / 5.0))
    assert (row["node_hours_per_epoch_low"], row["node_hours_per_epoch_high"]) == pytest.approx(
        (5.0 / 3600, 5.6 / 3600)
    )
    assert np.isnan([base["speedup_low"], base["efficiency_high"], base["ratio_coverage"]]).all()
    assert base["speedup"] == 1
    costs = cost_table(load(tmp_path)).to_dict("records")[1]
    assert costs["core_hours_per_epoch_high"] == pytest.approx(2 * 5.6 / 3600)
    assert costs["efficiency_low"] == row["efficiency_low"]


def test_an_epoch_that_hung_does_not_decide_the_throughput(run_in, tmp_path):
    for n in range(3):
        run_in(f"one{n}", kind="throughput", repeat=n, seconds=[2.0] * 6)
        hung = [1.0] * 5 + [60.0 if n == 0 else 1.0]
        run_in(f"two{n}", kind="throughput", ranks=2, repeat=n, seconds=hung)
    table = scaling_table(load(tmp_path)).set_index("ranks")
    assert table["images_per_second"].to_dict() == {1: 500, 2: 1000}
    assert table["speedup"][2] == pytest.approx(2.0)
    assert table["efficiency"].isna().all()


def test_weak_scaling_has_an_interval_of_its_efficiency_alone(run_in, tmp_path):
    for n in range(2):
        run_in(f"one{n}", kind="weak", repeat=n, seconds=[10.0 + n])
        run_in(f"two{n}", kind="weak", ranks=2, samples=2000, batch_size=200, repeat=n, seconds=[20.0 + n])
    row = scaling_table(load(tmp_path)).set_index("ranks").loc[2]
    assert (row["efficiency_low"], row["efficiency_high"]) == pytest.approx((10 / 21, 11 / 20))
    assert row["ratio_coverage"] == pytest.approx(1 - 2 / 6)
    assert np.isnan(row["speedup_low"])


def study(noise, runs, chance):
    """Return rows and runs of perfect strong scaling on 1 and 2 ranks."""
    seconds = np.concatenate([np.exp(noise(runs, chance)), np.exp(noise(runs, chance)) / 2])
    row = np.repeat([0, 1], runs)
    measured = pd.DataFrame({"row": row, "run_seconds": seconds, "sample_seconds": seconds})
    median = measured.groupby("row")["run_seconds"].median()
    rows = pd.DataFrame({"kind": "strong", "ranks": [1, 2], "epoch_seconds_median": median, "images_per_second": 1.0})
    return rows.assign(share_compute=0.5), measured


def lognormal(runs, chance):
    return 0.05 * chance.standard_normal(runs)


def skewed(runs, chance):
    return np.log1p(chance.gamma(1, 0.05, runs))


def outliers(runs, chance):
    return 0.03 * chance.standard_normal(runs) + np.where(chance.random(runs) < 0.1, np.log(1.5), 0)


@pytest.mark.long
@pytest.mark.parametrize("noise", [lognormal, skewed, outliers])
@pytest.mark.parametrize("runs", [3, 5, 6, 10])
def test_the_interval_holds_the_ratio_as_often_as_it_says(noise, runs):
    """Within three binomial errors over 500 studies; and it is not much wider than it says."""
    chance = np.random.default_rng(runs)
    held = 0
    for _ in range(500):
        rows, measured = study(noise, runs, chance)
        found = with_ratios(rows, pd.Series([0, 0]), measured, 0.95).iloc[1]
        held += found["efficiency_low"] <= 1 <= found["efficiency_high"]
    stated = found["ratio_coverage"]
    error = np.sqrt(stated * (1 - stated) / 500)
    assert held / 500 == pytest.approx(stated, abs=3 * error)


def gpu_run(run_in, name, slurm=None, **resources):
    from hpcnn.util.files import read_json, write_json

    run = run_in(
        name, device="NVIDIA H100", seconds=[3600.0], site="narval", resources={"nodes": 1, "ntasks": 1, **resources}
    )
    write_json(run.provenance, {**read_json(run.provenance), "slurm": slurm or {}})
    return run


def test_hours_are_of_what_was_held_and_not_of_what_the_ranks_used(run_in, tmp_path):
    gpu_run(run_in, "a", {"SLURM_JOB_CPUS_PER_NODE": "48", "SLURM_GPUS_ON_NODE": "4"}, cpus_per_task=1)
    (row,) = scaling_table(load(tmp_path)).to_dict("records")
    assert (row["gpus_held"], row["gpu_hours_per_epoch"]) == (4, 4.0)
    assert (row["cores_held"], row["core_hours_per_epoch"]) == (48, 48.0)


def test_without_slurm_gpus_are_those_that_the_job_asked_for(run_in, tmp_path):
    gpu_run(run_in, "a", gpus_per_node=4, cpus_per_task=2)
    (row,) = scaling_table(load(tmp_path)).to_dict("records")
    assert (row["gpus_held"], row["cores_held"]) == (4, 2)


@pytest.mark.parametrize(("text", "cores"), [("16(x2),8", 40), ("16", 16), ("", 1), ("16(x", 1), ("16(x2),?", 1)])
def test_the_cores_of_a_job_are_summed_over_its_nodes(run_in, tmp_path, text, cores):
    gpu_run(run_in, "a", {"SLURM_JOB_CPUS_PER_NODE": text}, cpus_per_task=1)
    assert scaling_table(load(tmp_path))["cores_held"].tolist() == [cores]


def test_an_allocation_that_runs_share_is_not_held_by_one(run_in, tmp_path):
    run = gpu_run(run_in, "a", {"SLURM_JOB_CPUS_PER_NODE": "48"}, cpus_per_task=1)
    run.spec.write_text(run.spec.read_text().replace("narval", "local"))
    assert scaling_table(load(tmp_path))["cores_held"].tolist() == [1]
