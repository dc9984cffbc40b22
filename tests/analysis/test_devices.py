"""The lectures' table of CPU and GPU: their own numbers, and measured ones that are never mixed with them."""

import pandas as pd
import pytest

from hpcnn.analysis.devices import LECTURE
from hpcnn.report import cpu_vs_gpu, load


def test_the_lectures_own_numbers(run_in, tmp_path):
    run_in("r1")
    published = cpu_vs_gpu(load(tmp_path)).query("source != 'measured'")
    assert set(published["source"]) == {LECTURE}
    assert published[["samples", "device", "epoch_seconds", "total_seconds"]].to_numpy().tolist() == [
        [50_000, "POWER8 CPU", 41, 21 * 60 + 4],
        [50_000, "P100 GPU", 4, 2 * 60 + 43],
        [250_000, "POWER8 CPU", 198, 100 * 60],
        [250_000, "P100 GPU", 26, 15 * 60],
    ]
    assert published["speedup_epoch"].tolist() == pytest.approx([1, 10.25, 1, 7.615], abs=1e-3)
    assert published["speedup_total"].tolist() == pytest.approx([1, 7.755, 1, 6.667], abs=1e-3)


def test_a_gpu_is_compared_with_the_cpu_that_did_the_same(run_in, tmp_path):
    for n, seconds in enumerate([41.0, 40.0, 42.0]):
        run = run_in(f"c{n}", samples=50_000, seconds=[seconds])
        run.write_result("completed", exit_code=0, epochs=2, seconds_total=100 * seconds)
    run = run_in("g", samples=50_000, seconds=[4.0], device="NVIDIA H100")
    run.write_result("completed", exit_code=0, epochs=2, seconds_total=410.0)
    run_in("other", samples=9_000, seconds=[1.0], device="NVIDIA H100")
    measured = cpu_vs_gpu(load(tmp_path)).query("source == 'measured'").set_index(["samples", "device"])
    cpu, gpu = measured.loc[50_000, "CPU (Model C CPU)"], measured.loc[50_000, "NVIDIA H100"]
    assert (cpu["runs"], cpu["epoch_seconds"], cpu["first_epoch_seconds"], cpu["total_seconds"]) == (3, 41, 100, 4100)
    assert (gpu["speedup_epoch"], gpu["speedup_total"]) == (41 / 4, 10.0)
    assert gpu["compared_with"] == "CPU (Model C CPU)"
    assert pd.isna(measured.loc[9_000, "NVIDIA H100"]["speedup_epoch"])


def test_more_epochs_are_other_work(run_in, tmp_path):
    run_in("c", seconds=[4.0])
    run_in("g", seconds=[1.0, 1.0, 1.0], device="NVIDIA H100")
    measured = cpu_vs_gpu(load(tmp_path)).query("source == 'measured'")
    assert measured["speedup_epoch"].isna().tolist() == [False, True]


def test_the_smallest_cpu_row_is_the_base(run_in, tmp_path):
    run_in("a", ranks=4, seconds=[2.0])
    run_in("b", ranks=1, seconds=[6.0])
    measured = cpu_vs_gpu(load(tmp_path)).query("source == 'measured'")
    assert measured[["ranks", "speedup_epoch"]].to_numpy().tolist() == [[1, 1.0], [4, 3.0]]


def test_without_any_run_the_lectures_stand_alone(run_in, tmp_path):
    run_in("r1", status="failed")
    assert cpu_vs_gpu(load(tmp_path))["source"].tolist() == [LECTURE] * 4
