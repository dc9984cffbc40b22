"""What a run used, put together from what its ranks say."""

import pytest

from hpcnn.rundir.usage import COLUMNS, usage_columns


def hosts(*names, gpus=None):
    of_rank = gpus or [[]] * len(names)
    return [
        {"rank": rank, "host": name, "gpus": own} for rank, (name, own) in enumerate(zip(names, of_rank, strict=True))
    ]


def line(**numbers):
    return {"seconds": 10.0, **numbers}


def test_memory_is_of_the_rank_and_of_the_node_with_the_most():
    lines = [(rank, line(memory_peak_bytes=most)) for rank, most in enumerate([5, 9, 6, 7])]
    found = usage_columns([*lines, (1, line(memory_peak_bytes=8))], hosts("a", "b", "a", "b"))
    assert found["memory_peak_bytes"] == 9
    assert found["memory_peak_rank"] == 1
    assert found["memory_least_bytes"] == 5
    assert found["node_memory_bytes"] == 9 + 7
    assert set(found) == set(COLUMNS)


def test_sums_are_over_ranks_and_epochs_and_missing_where_a_rank_says_nothing():
    lines = [(0, line(read_bytes=1, cpu_seconds=1.0)), (0, line(read_bytes=2)), (1, line(read_bytes=4))]
    found = usage_columns(lines, hosts("a", "a"))
    assert found["read_bytes"] == 7
    assert found["cpu_seconds"] is None
    assert found["storage_read_bytes"] is None


def test_other_load_is_what_a_node_computed_beyond_its_ranks():
    lines = [
        (0, line(cpu_seconds=10.0, node_cpu_seconds=35.0)),
        (1, line(cpu_seconds=5.0)),
        (2, line(cpu_seconds=10.0, node_cpu_seconds=10.0)),
    ]
    assert usage_columns(lines, hosts("a", "a", "b"))["other_load_cores"] == pytest.approx((2.0 + 0.0) / 2)
    assert usage_columns(lines[:2], hosts("a", "a", "b"))["other_load_cores"] is None


def test_energy_counts_each_node_and_each_gpu_once():
    of_nodes = {0: {"node_energy_joules": 7.0}, 2: {"node_energy_joules": 8.0}}
    lines = [(rank, line(gpu_energy_joules=100.0, **of_nodes.get(rank, {}))) for rank in range(4)]
    where = hosts("a", "a", "b", "b", gpus=[["g0"], ["g0"], ["g1"], ["g2"]])
    found = usage_columns(lines, where)
    assert found["energy_joules"] == 300 + 15
    assert found["energy_source"] == "RAPL + NVML"


def test_a_node_that_does_not_say_leaves_no_energy():
    found = usage_columns([(0, line(node_energy_joules=7.0)), (1, line())], hosts("a", "b"))
    assert found["energy_joules"] is None
    assert found["energy_source"] is None


def test_energy_that_was_not_counted_to_the_end_is_no_energy():
    lines = [(0, line(node_energy_joules=7.0)), (0, line()), (0, line(node_energy_joules=9.0))]
    assert usage_columns(lines, hosts("a"))["energy_joules"] == 16.0
    assert usage_columns([*lines, (0, line())], hosts("a"))["energy_joules"] is None
    of_gpu = [(0, line(gpu_energy_joules=7.0)), (0, line())]
    assert usage_columns(of_gpu, hosts("a", gpus=[["g0"]]))["energy_joules"] is None


def test_busy_gpus_are_weighted_by_their_seconds():
    lines = [
        (0, {"seconds": 30.0, "gpu_utilization_mean": 0.2, "gpu_utilization_max": 0.5}),
        (1, {"seconds": 10.0, "gpu_utilization_mean": 1.0, "gpu_utilization_max": 1.0}),
    ]
    found = usage_columns(lines, hosts("a", "a"))
    assert found["gpu_utilization_mean"] == pytest.approx(0.4)
    assert found["gpu_utilization_max"] == 1.0


@pytest.mark.parametrize("said", [None, 3, "x", {"memory_peak_bytes": "much"}, {"memory_peak_bytes": -1}])
def test_damaged_or_missing_numbers_are_no_numbers(said):
    assert usage_columns([(0, said)], [{"rank": "x"}]).get("memory_peak_bytes") is None
