"""The hours of a proposal, by hand."""

import json

import pytest

from hpcnn.analysis.proposal import proposal_table
from hpcnn.report import load, scaling_table
from hpcnn.util.errors import UsageError


def lasting(run, seconds, start=0.0):
    """Let a run's whole record take so many seconds, and its processes ``start`` before it."""
    result = json.loads(run.result.read_text())
    run.result.write_text(json.dumps({**result, "seconds_total": seconds}))
    run.events.write_text(json.dumps({"key": "init_start", "seconds": 0.0, "value": start}) + "\n")


def write_study(run_in):
    """Write two runs of each of two sizes: an epoch is 10 and 6 s, the warm-up 100 s, an evaluation 1000 s."""
    for repeat, more in ((1, 0.0), (2, 20.0)):
        lasting(run_in(f"one-{repeat}", seconds=[10.0], repeat=repeat), 2200.0 + more, start=30.0)
        lasting(run_in(f"two-{repeat}", ranks=2, seconds=[6.0], repeat=repeat), 2200.0 + more, start=30.0)


def proposal(path, trainings=1):
    data = load(path)
    return proposal_table(data, scaling_table(data), trainings).set_index("ranks")


def test_a_job_is_start_epochs_evaluation_and_the_rest(run_in, tmp_path):
    write_study(run_in)
    one = proposal(tmp_path).loc[1]
    assert one["start_seconds"] == 30
    assert one["epoch_seconds"] == 110
    assert one["evaluation_seconds"] == 2000
    assert one["other_seconds"] == pytest.approx(100)
    assert one["job_seconds"] == pytest.approx(2240)


def test_hours_are_held_and_grow_with_the_trainings(run_in, tmp_path):
    write_study(run_in)
    table = proposal(tmp_path, 10)
    assert table["core_hours"].to_dict() == {1: pytest.approx(10 * 2240 / 3600), 2: pytest.approx(2 * 10 * 2240 / 3600)}
    assert table["node_hours"][2] == pytest.approx(10 * 2240 / 3600)
    assert (table["node_hours_low"] < table["node_hours"]).all()
    assert (table["node_hours_high"] > table["node_hours"]).all()


def test_runs_that_failed_take_their_share(run_in, tmp_path):
    write_study(run_in)
    without = proposal(tmp_path)["core_hours"][1]
    lasting(run_in("three", ranks=2, status="failed"), 896.0)  # a tenth of the 8960 s of the four that completed
    with_failures = proposal(tmp_path)
    assert with_failures["lost_share"].tolist() == [pytest.approx(0.1)] * 2
    assert with_failures["core_hours"][1] == pytest.approx(1.1 * without)


def test_the_knee_is_chosen(run_in, tmp_path):
    write_study(run_in)
    lasting(run_in("four", ranks=4, seconds=[5.9]), 2200.0)
    assert proposal(tmp_path)["chosen"].to_dict() == {1: False, 2: True, 4: False}


def test_of_several_placements_of_the_chosen_ranks_the_cheapest_is_chosen(run_in, tmp_path):
    lasting(run_in("one", seconds=[10.0]), 2200.0)
    for nodes, seconds in ((1, 6.0), (2, 5.9)):
        resources = {"nodes": nodes, "ntasks": 2, "cpus_per_task": 1}
        lasting(run_in(f"two-{nodes}", ranks=2, seconds=[seconds], resources=resources), 2100.0)
    found = proposal(tmp_path).reset_index()
    assert found.loc[found["chosen"], ["ranks", "nodes"]].to_numpy().tolist() == [[2, 1]]


def test_without_a_series_the_fewest_node_hours_are_chosen(run_in, tmp_path):
    lasting(run_in("one", kind="throughput", seconds=[10.0]), 2200.0)
    lasting(run_in("two", kind="throughput", ranks=2, seconds=[6.0]), 2300.0)
    assert proposal(tmp_path)["chosen"].to_dict() == {1: True, 2: False}


def test_no_trainings_is_refused(run_in, tmp_path):
    write_study(run_in)
    with pytest.raises(UsageError, match="trainings: 0"):
        proposal(tmp_path, 0)
