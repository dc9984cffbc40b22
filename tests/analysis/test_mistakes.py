"""Mistakes that scaling reports of other tools were seen to make, one test each."""

import json

import numpy as np
import pytest

from hpcnn.report import left_out, load, scaling_table
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_lines


def test_the_base_is_not_the_first_input_but_the_smallest(run_in, tmp_path):
    run_in("a-first", ranks=4, seconds=[3.0])
    run_in("b-second", ranks=1, seconds=[9.0])
    table = scaling_table(load(tmp_path / "scale" / "a-first", tmp_path / "scale" / "b-second")).set_index("ranks")
    assert table["base"].to_dict() == {1: True, 4: False}
    assert table["speedup"][4] == 3.0


def test_the_first_points_speed_up_is_one_and_not_its_size(run_in, tmp_path):
    run_in("a", ranks=4, seconds=[9.0])
    run_in("b", ranks=8, seconds=[5.0])
    assert scaling_table(load(tmp_path)).set_index("ranks")["speedup"].to_dict() == pytest.approx({4: 1.0, 8: 1.8})


def test_weak_scaling_never_goes_by_the_name_of_strong(run_in, tmp_path):
    run_in("a", ranks=1, samples=1000, batch_size=100)
    run_in("b", ranks=2, samples=2000, batch_size=200)
    with pytest.raises(UsageError, match="labelled strong scaling"):
        scaling_table(load(tmp_path))


def test_rates_are_not_averaged(run_in, tmp_path):
    run_in("a", seconds=[1.0])  # 1000 images/s
    run_in("b", seconds=[9.0])  # 111 images/s; the arithmetic mean would be 556
    assert scaling_table(load(tmp_path))["images_per_second"].tolist() == pytest.approx([200.0])


def test_speed_ups_are_not_averaged(run_in, tmp_path):
    for n, (one, two) in enumerate([(8.0, 1.0), (10.0, 5.0), (12.0, 12.0)]):
        run_in(f"one{n}", ranks=1, repeat=n, seconds=[one])
        run_in(f"two{n}", ranks=2, repeat=n, seconds=[two])
    # by repeats 8, 2 and 1: their mean would be 3.67, and their geometric mean 2.52
    assert scaling_table(load(tmp_path)).set_index("ranks")["speedup"][2] == 2.0


def test_a_column_stays_when_the_latest_run_lacks_it(run_in, tmp_path):
    run_in("a", ranks=1, point={"ntasks": 1, "fusion": 64})
    run_in("b", ranks=1, point={"ntasks": 1, "fusion": 0})
    newest = run_in("c", ranks=2)
    for line in ("seconds_input", "seconds_communication"):
        newest.epochs(0).write_text(newest.epochs(0).read_text().replace(f'"{line}"', '"renamed"'))
    table = scaling_table(load(tmp_path))
    assert "point_fusion" in table
    assert table["share_input"].notna().tolist() == [True, True, False]


def test_the_throughput_of_all_ranks_is_not_that_of_rank_0_times_their_number(run_in, tmp_path):
    run = run_in("a", ranks=2, seconds=[(5.0, 10.0)])
    lines = [{**line, "samples": 100} for line in read_lines(run.epochs(1))]
    run.epochs(1).write_text("".join(json.dumps(line) + "\n" for line in lines))
    # rank 0 did 500 in 5 s: twice that is 200 images/s. All did 600 in 10 s.
    assert scaling_table(load(tmp_path))["images_per_second"].tolist() == [60.0]


def test_the_interval_of_the_median_shrinks_with_the_runs(run_in, tmp_path):
    """As 1.96 standard deviations, not divided by the root of the number of runs, would not."""
    chance, width = np.random.default_rng(3), {}
    for runs in (8, 40):
        for n in range(runs):
            run_in(f"{runs}-{n}", ranks=runs, processes=1, seconds=[chance.normal(10.0, 1.0)])
    for row in scaling_table(load(tmp_path)).to_dict("records"):
        width[row["ranks"]] = row["interval_high"] - row["interval_low"]
    assert width[40] < width[8] / 1.5
    assert width[40] < 1.96


def test_epochs_of_one_run_are_not_its_repeats(run_in, tmp_path):
    run_in("a", seconds=[9.0, 10.0, 11.0, 9.5, 10.5, 10.2])
    (row,) = scaling_table(load(tmp_path)).to_dict("records")
    assert (row["runs"], row["runs_needed"]) == (1, 6)
    assert np.isnan([row["interval_low"], row["interval_high"], row["interval_coverage"]]).all()


def test_outliers_are_kept_and_counted_unless_asked_for(run_in, tmp_path):
    run_in("a", seconds=[10.0, 10.1, 10.2, 10.3, 50.0], train={"epochs": 6})
    run_in("slow", seconds=[40.0, 40.1, 40.2, 40.3], train={"epochs": 6})  # slow as a whole: a result, and no outlier
    data = load(tmp_path)
    (kept,) = scaling_table(data).to_dict("records")
    (dropped,) = scaling_table(data, drop_outliers=True).to_dict("records")
    assert (kept["outliers"], kept["epochs"]) == (1, 9)
    assert (dropped["outliers"], dropped["epochs"], dropped["runs"]) == (1, 8, 2)
    assert kept["images_per_second"] == pytest.approx(1000 / ((10.2 + 40.15) / 2))
    assert dropped["images_per_second"] == pytest.approx(1000 / ((10.15 + 40.15) / 2))
    assert dropped["epoch_seconds_max"] == kept["epoch_seconds_max"] == pytest.approx(40.15)


def test_nothing_is_dropped_silently(run_in, tmp_path):
    statuses = ["completed", "failed", "interrupted", None]
    for n, status in enumerate(statuses):
        run_in(f"r{n}", status=status)
    run_in("ceiling", train={"communication": False})
    data = load(tmp_path)
    assert scaling_table(data)["runs"].sum() + len(left_out(data)) == len(data.runs) == 5
