"""Records of more than 32 ranks, whose epochs are in a file a node: every reader finds the same as in a file a rank."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpcnn.analysis.table_runs import hosts_of
from hpcnn.machine.tune.trials import images_per_second
from hpcnn.rundir.layout import RunDir, holds_run
from hpcnn.rundir.read import read_run
from hpcnn.search.epochs import EpochReader, epochs_of
from hpcnn.util.files import write_json
from hpcnn.util.host import facts_by_rank, facts_of_node


def line(rank: int, epoch: int, **more: Any) -> str:
    facts = {"seconds_total": 1.0 + rank, "samples": 100, "validation": {"accuracy": epoch / 10, "loss": 1.0}}
    return json.dumps({"rank": rank, "epoch": epoch, **facts, **more}) + "\n"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run of two nodes with two ranks each, three epochs."""
    run = RunDir(tmp_path / "run")
    run.create()
    for node in range(2):
        lines = (line(rank, epoch) for epoch in (1, 2, 3) for rank in (2 * node, 2 * node + 1))
        run.epochs_of_node(node).write_text("".join(lines))
    write_json(run.spec, {"schema": 1, "resources": {"ntasks": 4}, "train": {}})
    hosts = [
        {"host": f"n{node}", "cpu_model": "Xeon", "device": "H100", "threads": {}, "ranks": ranks}
        for node, ranks in enumerate(
            [{"rank": rank, "cores_allowed": [rank]} for rank in pair] for pair in ((0, 1), (2, 3))
        )
    ]
    write_json(run.provenance, {"schema": 1, "hosts": hosts, "world_size": 4})
    run.write_result("completed", exit_code=0)
    return run


def test_a_report_has_every_rank(run: RunDir) -> None:
    found = read_run(run.path)
    assert found.run["problem"] is None
    assert [(row["rank"], row["epoch"]) for row in found.epochs] == [(r, e) for r in range(4) for e in (1, 2, 3)]
    assert (found.run["host"], found.run["device"], found.run["nodes"]) == ("n0,n1", "H100", 2)
    assert [(host.rank, host.host, sorted(host.cores)) for host in hosts_of(run.path)] == [
        (0, "n0", [0]),
        (1, "n0", [1]),
        (2, "n1", [2]),
        (3, "n1", [3]),
    ]


def test_damage_is_named_and_the_rest_read(run: RunDir) -> None:
    with run.epochs_of_node(1).open("a") as file:
        file.write('{"epoch": 4}\n' + line(-1, 4) + line(2, 3) + line(2, 4)[:20])
    problem = read_run(run.path).run["problem"]
    assert "epochs.node00001.jsonl: 3 of 10 lines are unreadable" in problem
    assert "epochs.node00001.jsonl: epoch 3 is recorded more than once, the last one counts" in problem
    assert len(read_run(run.path).epochs) == 12


def test_a_search_and_a_tuning_read_it_too(run: RunDir) -> None:
    assert [epoch.accuracy for epoch in epochs_of(run)] == [0.1, 0.2, 0.3]
    reader = EpochReader(run)
    assert reader.read_new() == 3
    with run.epochs_of_node(0).open("a") as file:
        file.write(line(0, 4) + line(1, 4))
    assert (reader.read_new(), reader.epochs[-1].accuracy) == (1, 0.4)
    assert images_per_second(run) == pytest.approx(400 / 4.0)


def test_an_attempt_that_begins_anew_removes_it(run: RunDir) -> None:
    assert holds_run(["epochs.node00000.jsonl"])
    run.clear_attempt()
    assert not run.node_files()


def test_facts_of_a_node_are_those_of_its_ranks() -> None:
    ranks = [
        {"rank": rank, "host": "n", "pid": rank, "cores_allowed": [rank], "devices": ["/CPU:0"]} for rank in (4, 5)
    ]
    entry = facts_of_node(ranks)
    assert entry == {
        **{"host": "n", "devices": ["/CPU:0"]},
        "ranks": [{"rank": 4, "pid": 4, "cores_allowed": [4]}, {"rank": 5, "pid": 5, "cores_allowed": [5]}],
    }
    assert facts_by_rank([entry]) == ranks
    assert facts_by_rank([facts_of_node(ranks[:1])]) == ranks[:1]


@pytest.mark.parametrize("hosts", [None, 5, "x", {"a": 1}, [None, 3], [{"ranks": 5}], [{"ranks": [None, "x"]}]])
def test_damaged_facts(hosts: Any) -> None:
    assert all(isinstance(entry, dict) for entry in facts_by_rank(hosts))
