"""The table of what runs used, and the energy in the tables of cost and of proposals."""

import json

import pandas as pd
import pytest

from hpcnn.report import cost_table, load, proposal_table, scaling_table, usage_table

MIB = 2**20


def say(run, *of_ranks, events=()):
    """Let each rank of a run say in its first and its last epoch what it used."""
    for rank, used in enumerate(of_ranks):
        file = run.epochs(rank)
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for at in (0, -1):
            lines[at]["usage"] = {"seconds": 10.0, **used}
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run.events.write_text("".join(json.dumps(event) + "\n" for event in events))


def row_of(table):
    (row,) = table.to_dict("records")
    return row


@pytest.fixture
def two_ranks(run_in, tmp_path):
    """Write two runs of two ranks on one node, of which the second used more."""
    for number, name in enumerate(("a", "b"), 1):
        ranks = [
            {"memory_peak_bytes": 100 * number * MIB, "read_bytes": 1000, "written_bytes": 10},
            {"memory_peak_bytes": 150 * number * MIB, "read_bytes": 2000, "written_bytes": 10},
        ]
        ranks[0] |= {"node_energy_joules": 1.8e6 * number}
        events = [
            {"key": "init_start", "seconds": 0.5, "value": 2.0},
            {"key": "data_stop", "seconds": 1.5 + number},
            {"key": "copied_to_local_disk", "seconds": 9.0, "value": 4.0},
        ]
        run = run_in(name, ranks=2, repeat=number, seconds=[[10.0, 8.0]] * 2)
        result = json.loads(run.result.read_text())
        run.result.write_text(json.dumps({**result, "seconds_total": 200.0}))
        say(run, *ranks, events=events)
    return load(tmp_path)


def test_memory_is_the_most_and_the_rest_the_median_of_the_runs(two_ranks):
    row = row_of(usage_table(two_ranks, scaling_table(two_ranks)))
    assert row["memory_peak_bytes"] == 300 * MIB
    assert row["memory_peak_rank"] == 1
    assert row["memory_least_bytes"] == 200 * MIB
    assert row["node_memory_bytes"] == 500 * MIB
    assert row["read_bytes"] == 2 * 3000
    assert row["written_bytes"] == 2 * 20
    assert row["data_seconds"] == 2.5
    assert row["staging_seconds"] == 4.0
    assert row["input_seconds"] == pytest.approx(1.0)  # a tenth of the slower rank's ten seconds
    assert pd.isna(row["gpu_memory_peak_bytes"])


def test_energy_is_in_every_table_of_cost_with_its_source(two_ranks):
    table = scaling_table(two_ranks)
    for found, kwh in (
        (usage_table(two_ranks, table), 1.5),
        (cost_table(two_ranks), 1.5),
        (proposal_table(two_ranks, table, 100), 150.0),
    ):
        row = row_of(found)
        assert row["energy_kwh"] == pytest.approx(kwh)
        assert row["energy_source"] == "RAPL"


def test_what_slurm_accounts_for_comes_before_what_a_run_recorded(two_ranks):
    path = two_ranks.runs["path"].iloc[0]
    row = row_of(cost_table(two_ranks, joules={path: 7.2e6}))
    assert row["energy_kwh"] == pytest.approx((2.0 + 2.0) / 2)
    assert row["energy_source"] == "RAPL, sacct"


def test_runs_that_say_nothing_have_a_row_of_nothing(run_in, tmp_path):
    run_in("a")
    data = load(tmp_path)
    row = row_of(usage_table(data, scaling_table(data)))
    assert row["runs"] == 1
    assert pd.isna(row["memory_peak_bytes"])
    assert pd.isna(row["energy_kwh"])
    assert pd.isna(row["energy_source"])
