"""The efficiencies of the POP Centre, by hand."""

import json
import math

import pytest

from hpcnn.analysis.pop import pop_table
from hpcnn.report import load, scaling_table
from tests.analysis.test_jitter import with_steps


def with_communication(run, seconds):
    """Let each rank of a run have spent so many seconds in communication, in every epoch."""
    for rank, own in enumerate(seconds):
        lines = [json.loads(line) for line in run.epochs(rank).read_text().splitlines()]
        run.epochs(rank).write_text("".join(json.dumps({**x, "seconds_communication": own}) + "\n" for x in lines))


def pop(path):
    data = load(path)
    return pop_table(data, scaling_table(data)).set_index("ranks")


def test_strong_scaling_by_hand(run_in, tmp_path):
    with_communication(run_in("one", seconds=[10.0, 10.0]), [0.0])
    # of 6 s, rank 0 is useful for 5 and rank 1, which waits, for 4: 9 s where one rank took 10
    with_communication(run_in("two", ranks=2, seconds=[6.0, 6.0]), [1.0, 2.0])
    table = pop(tmp_path)
    assert table["load_balance"].to_dict() == {1: 1, 2: pytest.approx(4.5 / 5)}
    assert table["communication_efficiency"].to_dict() == {1: 1, 2: pytest.approx(5 / 6)}
    assert table["parallel_efficiency"].to_dict() == {1: 1, 2: pytest.approx(4.5 / 6)}
    assert table["computational_scalability"].to_dict() == {1: 1, 2: pytest.approx(10 / 9)}
    # global efficiency is that of the scaling table: 10 / 6 / 2
    assert table["global_efficiency"][2] == pytest.approx(10 / 6 / 2)


def test_weak_scaling_by_hand(run_in, tmp_path):
    with_communication(run_in("one", kind="weak", seconds=[10.0]), [0.0])
    run = run_in("two", kind="weak", ranks=2, samples=2000, batch_size=200, seconds=[12.5])
    with_communication(run, [2.5, 2.5])
    table = pop(tmp_path)
    assert table["computational_scalability"][2] == pytest.approx(20 / 20)
    assert table["global_efficiency"][2] == pytest.approx(10 / 12.5)


def test_throughput_has_no_base_to_scale_from(run_in, tmp_path):
    run_in("one", kind="throughput")
    table = pop(tmp_path)
    assert table["parallel_efficiency"][1] == pytest.approx(0.75)
    assert table["global_efficiency"].isna().all()


def test_runs_that_do_not_say_where_their_time_goes_have_no_row(run_in, tmp_path):
    run = run_in("one")
    run.epochs(0).write_text(run.epochs(0).read_text().replace("seconds_communication", "nothing"))
    assert pop(tmp_path).empty


def test_communication_is_serialization_times_transfer_by_hand(run_in, tmp_path):
    """Of 10 steps, a rank works for 0.4 s on average and the slowest for 0.45: 0.5 s of waiting, 1 s of network."""
    run = run_in("two", ranks=2, seconds=[5.5, 5.5])
    with_communication(run, [1.5, 1.5])
    with_steps(run, steps_timed=9, step_seconds_mean=0.4, step_seconds_sum_of_maxima=9 * 0.45)
    (row,) = pop(tmp_path).to_dict("records")
    assert row["serialization"] == pytest.approx(4.0 / 4.5)
    assert row["transfer"] == pytest.approx(4.5 / 5.5)
    assert row["serialization"] * row["transfer"] == pytest.approx(row["communication_efficiency"])


def test_without_the_work_of_steps_the_two_are_not_told_apart(run_in, tmp_path):
    run_in("two", ranks=2)
    (row,) = pop(tmp_path).to_dict("records")
    assert math.isnan(row["serialization"])
    assert math.isnan(row["transfer"])
    assert row["communication_efficiency"] == pytest.approx(0.75)
