"""Time to accuracy: whose clock, which median, and what becomes of runs that never got there."""

import math

import pandas as pd
import pytest

from hpcnn.report import load, time_to_accuracy
from hpcnn.util.errors import UsageError
from hpcnn.util.files import LineWriter, read_lines

# WARMUP_SECONDS of training in the first epoch, and of evaluation after each.
FIRST, EVALUATION = 100.0, 1000.0


def only(table):
    (row,) = table.to_dict("records")
    return row


def test_the_clock_runs_from_the_start_and_is_not_paused_for_evaluations(run_in, tmp_path):
    run_in("r1", seconds=[10.0, 20.0], accuracies=[0.5, 0.8, 0.9], accuracy=0.9)
    row = only(time_to_accuracy(load(tmp_path), 0.8))
    assert row["seconds_to_target"] == FIRST + EVALUATION + 10.0 + EVALUATION
    assert row["epochs_to_target"] == 2
    assert (row["clock"], row["target"], row["target_from"]) == ("sum of epochs", 0.8, "given")
    assert (row["runs"], row["reached"], row["not_reached"], row["unknown"]) == (1, 1, 0, 0)
    assert row["test_accuracy_median"] == 0.9


def test_the_recorded_clock_goes_before_the_sum(run_in, tmp_path):
    run = run_in("r1", ranks=2, seconds=[10.0], accuracies=[0.5, 0.9])
    for rank in range(2):
        lines = list(read_lines(run.epochs(rank)))
        run.epochs(rank).unlink()
        writer = LineWriter(run.epochs(rank))
        for line, since in zip(lines, (1500.0, 3000.0 + rank), strict=True):
            writer.write({**line, "seconds_since_start": since})
        writer.close()
    row = only(time_to_accuracy(load(tmp_path), 0.9))
    assert (row["seconds_to_target"], row["clock"]) == (3001.0, "recorded")


def test_the_slowest_rank_decides(run_in, tmp_path):
    run_in("r1", ranks=2, seconds=[(10.0, 30.0)], accuracies=[0.5, 0.9])
    assert only(time_to_accuracy(load(tmp_path), 0.9))["seconds_to_target"] == FIRST + 30.0 + 2 * EVALUATION


def test_a_run_that_reached_it_in_its_first_epoch_counts(run_in, tmp_path):
    run_in("r1", seconds=[], accuracies=[0.9])
    row = only(time_to_accuracy(load(tmp_path), 0.9))
    assert (row["seconds_to_target"], row["epochs_to_target"]) == (FIRST + EVALUATION, 1)


def test_runs_that_never_got_there_are_counted_as_longer_than_any(run_in, tmp_path):
    for n, (seconds, last) in enumerate([(10.0, 0.9), (20.0, 0.9), (30.0, 0.9), (1.0, 0.7), (2.0, 0.7)]):
        run_in(f"r{n}", seconds=[seconds], accuracies=[0.5, last], accuracy=last)
    row = only(time_to_accuracy(load(tmp_path), 0.9))
    assert (row["runs"], row["reached"], row["not_reached"]) == (5, 3, 2)
    # the median of the three that reached it would be 20: the lucky ones alone
    assert row["seconds_to_target"] == FIRST + 30.0 + 2 * EVALUATION
    assert row["interval_high"] == math.inf
    assert row["interval_coverage"] == 0.9375
    run_in("r5", seconds=[3.0], accuracies=[0.5, 0.7])
    assert only(time_to_accuracy(load(tmp_path), 0.9))["seconds_to_target"] == math.inf


def test_quality_stands_beside_every_speed(run_in, tmp_path):
    for n, accuracy in enumerate([0.7, 0.9, 0.8]):
        run_in(f"r{n}", accuracies=[0.5, 0.5, accuracy], accuracy=accuracy)
    row = only(time_to_accuracy(load(tmp_path), 0.6))
    assert [row[f"test_accuracy_{key}"] for key in ("median", "min", "max")] == [0.8, 0.7, 0.9]


def test_without_a_target_the_runs_own_serves(run_in, tmp_path):
    run_in("r1", accuracies=[0.5, 0.8, 0.9], train={"target_accuracy": 0.85})
    row = only(time_to_accuracy(load(tmp_path)))
    assert (row["target"], row["target_from"], row["epochs_to_target"]) == (0.85, "asked of the runs", 3)


def test_without_any_target_what_all_runs_reached_serves(run_in, tmp_path):
    run_in("r1", accuracies=[0.5, 0.8765, 0.87])
    run_in("r2", ranks=2, accuracies=[0.5, 0.8, 0.95])
    table = time_to_accuracy(load(tmp_path)).set_index("ranks")
    assert set(table["target"]) == {0.876}
    assert set(table["target_from"]) == {"reached by all runs"}
    assert table["epochs_to_target"].to_dict() == {1: 2, 2: 3}


def test_a_run_without_accuracy_is_unknown_and_not_slow(run_in, tmp_path):
    run = run_in("r1", accuracies=[0.5, 0.9, 0.9])
    bare = run_in("r2")
    bare.epochs(0).write_text(
        bare.epochs(0).read_text().replace('"validation": {"loss": 0.7, "accuracy": 0.6}', '"validation": null')
    )
    row = only(time_to_accuracy(load(tmp_path), 0.9))
    assert (row["runs"], row["reached"], row["not_reached"], row["unknown"]) == (2, 1, 0, 1)
    run.epochs(0).write_text(bare.epochs(0).read_text())
    row = only(time_to_accuracy(load(tmp_path)))
    assert pd.isna(row["target"])
    assert pd.isna(row["seconds_to_target"])
    assert row["unknown"] == 2


def test_a_clock_with_a_hole_is_unknown(run_in, tmp_path):
    run = run_in("r1", seconds=[1.0, 2.0], accuracies=[0.5, 0.6, 0.9])
    first, _, last = run.epochs(0).read_text().splitlines()
    run.epochs(0).write_text(f"{first}\n{last}\n")
    row = only(time_to_accuracy(load(tmp_path), 0.9))
    assert (row["unknown"], row["reached"]) == (1, 0)
    assert pd.isna(row["seconds_to_target"])


def test_what_trains_nothing_reaches_no_accuracy(run_in, tmp_path):
    run_in("r1", accuracies=[0.5, 0.9, 0.9])
    run_in("r2", accuracies=[0.9, 0.9, 0.9], train={"communication": False})
    assert only(time_to_accuracy(load(tmp_path), 0.9))["runs"] == 1


@pytest.mark.parametrize("target", [0.0, -1.0, 1.5, 97.0])
def test_a_target_that_is_none_is_refused(run_in, tmp_path, target):
    run_in("r1")
    with pytest.raises(UsageError, match="an accuracy above 0 and up to 1"):
        time_to_accuracy(load(tmp_path), target)


def test_no_run_gives_no_row_and_all_columns(run_in, tmp_path):
    run_in("r1", status="failed")
    empty = time_to_accuracy(load(tmp_path))
    run_in("r2")
    assert empty.empty
    assert list(empty) == list(time_to_accuracy(load(tmp_path)))


def test_a_run_that_was_cut_off_counts_until_then(run_in, tmp_path):
    """Three reached it after 2110, 2120 and 2130 s; one was stopped after 1100 s, one crashed after it."""
    for n in (1, 2, 3):
        run_in(f"r{n}", seconds=[10.0 * n], accuracies=[0.5, 0.9])
    run_in("stopped", seconds=[], accuracies=[0.5], status="interrupted", train={"epochs": 2})
    run_in("crashed", seconds=[40.0], accuracies=[0.5, 0.9], status="failed")
    row = only(time_to_accuracy(load(tmp_path), 0.9))
    assert (row["runs"], row["reached"], row["not_reached"], row["cut_off"]) == (5, 4, 0, 1)
    start = FIRST + 2 * EVALUATION
    assert row["seconds_to_target"] == start + (20.0 + 30.0) / 2
    assert (row["interval_low"], row["interval_high"]) == (FIRST + EVALUATION, math.inf)
    assert row["epochs_to_target"] == 2
    assert row["test_accuracy_median"] == 0.9


def test_a_configuration_of_which_all_runs_were_cut_off_is_left_out(run_in, tmp_path):
    run_in("r1", accuracies=[0.5, 0.9, 0.9])
    run_in("r2", ranks=2, accuracies=[0.5, 0.9, 0.9], status="failed")
    assert time_to_accuracy(load(tmp_path), 0.9)["ranks"].tolist() == [1]
