"""What one training costs as a function of its ranks and nodes, counted: files, bytes at rank 0, messages."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpcnn.rundir.layout import FEW_RANKS, RunDir
from hpcnn.rundir.read import read_run
from hpcnn.train.record import Record
from hpcnn.train.session import train_under
from hpcnn.util.files import read_json, read_lines
from tests.parallel.counting import Simulated, Traffic
from tests.train.cases import MOMENTUM

EPOCHS = 2
LINE = {
    **dict.fromkeys(("seconds_total", "seconds_input", "seconds_compute", "seconds_communication"), 1.25),
    **dict.fromkeys(("seconds_other", "seconds_evaluation", "seconds_since_start"), 0.125),
    **{"samples": 128, "steps": 16, "loss": 0.5, "metrics": {"accuracy": 0.75}, "learning_rate": 0.01},
    "validation": {"loss": 0.5, "accuracy": 0.75},
}


def record_all(simulated: type[Simulated], path: Path, ranks: int, per_node: int) -> tuple[Traffic, Traffic]:
    """Let all ranks write the record of a training; return the traffic of its begin, and that of an epoch."""
    begin, each = Traffic(), Traffic()
    for rank in range(ranks):
        strategy = simulated(rank, ranks, per_node, begin)
        record = Record(path, strategy)
        record.spec({"name": "x", "resources": {"ntasks": ranks}, "train": {}})
        record.provenance("CPU", train={})
        for end in filter(None, (strategy._comm, strategy._node, strategy.firsts)):
            end.traffic = each  # type: ignore[union-attr]
        for epoch in range(1, EPOCHS + 1):
            record.epoch({"epoch": epoch, **LINE})
        record.finish("completed", epochs=EPOCHS)
    each.bytes_at_rank_0 //= EPOCHS
    return begin, each


SIZES = [(32, 4), (33, 4), (64, 8), (1536, 6), pytest.param(27_360, 6, marks=pytest.mark.long)]


@pytest.mark.parametrize(("ranks", "per_node"), SIZES)
def test_files_and_bytes_grow_with_the_nodes(
    ranks: int, per_node: int, simulated: type[Simulated], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = -(-ranks // per_node)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(7)))
    begin, epoch = record_all(simulated, tmp_path / "run", ranks, per_node)
    files = {file.name for file in (tmp_path / "run").iterdir()}
    others = {"spec.json", "provenance.json", "events.jsonl", "result.json"}
    of_epochs = (
        {f"epochs.rank{rank:05d}.jsonl" for rank in range(ranks)}
        if ranks <= FEW_RANKS
        else {f"epochs.node{node:05d}.jsonl" for node in range(nodes)}
    )
    assert files == others | of_epochs

    # once a run: a node's facts, and what its ranks do not share; rank 0 hears one message a node
    assert begin.bytes_at_rank_0 < 600 * nodes + 150 * ranks
    assert begin.most_messages == max(nodes - 1, per_node - 1, 2 * math.ceil(math.log2(ranks)))
    # an epoch: the lines of rank 0's own node, whatever the number of nodes
    assert epoch.bytes_at_rank_0 < 600 * per_node
    assert epoch.most_messages <= per_node - 1
    print(f"{ranks} ranks, {nodes} nodes: {len(files)} files, {begin}, {epoch}")

    entries = (read_json(tmp_path / "run" / "provenance.json") or {})["hosts"]
    assert len(entries) == (ranks if ranks <= FEW_RANKS else nodes)
    if ranks <= FEW_RANKS:
        return  # what the others wrote has been cleared by nobody: they wrote into files of their own
    record = read_run(tmp_path / "run")
    assert record.run["problem"] is None
    assert [(row["rank"], row["epoch"]) for row in record.epochs] == [
        (rank, number) for rank in range(ranks) for number in range(1, EPOCHS + 1)
    ]


def calls_of_an_epoch(simulated: type[Simulated], run: Path, ranks: int, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the collective operations of rank 0 in the second epoch of hpcnn's own loop, besides its gradients."""
    traffic, until = Traffic(), list[Counter[str]]()
    recorded = Record.epoch

    def epoch(self: Record, record: Any) -> None:
        recorded(self, record)
        until.append(traffic.calls.copy())

    monkeypatch.setattr(Record, "epoch", epoch)
    spec = replace(MOMENTUM, strategy="horovod", checkpoint=False, batch_size=512, samples=512)
    train_under(simulated(0, ranks, 8, traffic), spec, str(run), log=lambda line: None)
    monkeypatch.setattr(Record, "epoch", recorded)
    return sorted((until[1] - until[0]).items())


def test_an_epoch_is_few_trees_whatever_the_number_of_ranks(
    simulated: type[Simulated], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a barrier; stop? logs, weights, evaluation, who stops, three of the work of steps; the epoch's lines, on the node
    expected = [("allreduce", 8), ("barrier", 1), ("gather", 1)]
    for ranks in (64, 512):
        assert calls_of_an_epoch(simulated, tmp_path / str(ranks), ranks, monkeypatch) == expected


class TestResumed:
    """A training of many ranks goes on, on other nodes than before."""

    def test_earlier_epochs_stay_and_the_unfinished_one_is_written_again(
        self,
        simulated: type[Simulated],
        tmp_path: Path,
    ) -> None:
        from hpcnn.train.state import Position

        record_all(simulated, tmp_path / "run", 64, 8)
        traffic = Traffic()
        for rank in range(64):
            go_on = Position(EPOCHS, 3)
            record = Record(tmp_path / "run", simulated(rank, 64, 16, traffic), resume=True, go_on=go_on)
            record.epoch({"epoch": EPOCHS, **LINE, "resumed": True})
            record.finish("completed", epochs=EPOCHS)
        found = read_run(tmp_path / "run")
        assert found.run["problem"] is None
        assert Counter((row["epoch"], row["resumed"]) for row in found.epochs) == {(1, None): 64, (EPOCHS, True): 64}

    def test_a_record_of_an_earlier_version_goes_on(self, simulated: type[Simulated], tmp_path: Path) -> None:
        from hpcnn.train.state import Position

        record_all(simulated, tmp_path / "run", 64, 8)
        run = RunDir(tmp_path / "run")
        lines = [line for _, file in run.node_files() for line in read_lines(file)]
        for _, file in run.node_files():
            file.unlink()
        for rank in range(64):
            own = [line for line in lines if line["rank"] == rank]
            run.epochs(rank).write_text("".join(json.dumps(line) + "\n" for line in own))
        traffic = Traffic()
        for rank in range(64):
            record = Record(run.path, simulated(rank, 64, 8, traffic), resume=True, go_on=Position(EPOCHS, 3))
            record.epoch({"epoch": EPOCHS, **LINE})
        found = read_run(run.path)
        assert Counter((row["epoch"], row["rank"]) for row in found.epochs) == {
            (epoch, rank): 1 for epoch in range(1, EPOCHS + 1) for rank in range(64)
        }


def test_a_rank_that_dies_leaves_the_epochs_so_far(simulated: type[Simulated], tmp_path: Path) -> None:
    traffic = Traffic()
    for rank in range(64):
        record: Any = Record(tmp_path / "run", simulated(rank, 64, 8, traffic))
        record.epoch({"epoch": 1, **LINE})
        del record  # nothing is closed
    assert [row["epoch"] for row in read_run(tmp_path / "run").epochs] == [1] * 64


def test_a_finished_run_is_refused_by_all_ranks_in_the_words_of_rank_0(
    simulated: type[Simulated],
    tmp_path: Path,
) -> None:
    from hpcnn.util.errors import UsageError

    record_all(simulated, tmp_path / "run", 64, 8)
    traffic = Traffic()
    for rank in range(64):
        with pytest.raises(UsageError, match="already holds a finished run"):
            Record(tmp_path / "run", simulated(rank, 64, 8, traffic))
