"""64 real ranks on a few cores, and 16 that train: what they leave in the run directory, and how they end."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.read import read_run
from hpcnn.util.files import read_json
from tests.train.launching import ROOT, Command
from tests.train.many_ranks import EPOCHS, ODD_ONE, PER_NODE

pytestmark = [pytest.mark.mpi, pytest.mark.long, pytest.mark.cold]

RANKS = 64


def ranks(mpirun: Command, count: int, run: RunDir, what: str) -> CompletedProcess[str]:
    words = (sys.executable, "-m", "tests.train.many_ranks", run.path, what)
    return mpirun(count, *words, timeout=400, PYTHONPATH=str(ROOT), OMPI_MCA_mpi_yield_when_idle="1")


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


def rows(run: RunDir) -> Counter[int]:
    """Return the number of ranks that recorded an epoch, by epoch."""
    return Counter(row["epoch"] for row in read_run(run.path).epochs)


def test_files_of_64_ranks_are_those_of_8_nodes(mpirun: Command, run: RunDir) -> None:
    done = ranks(mpirun, RANKS, run, "record")
    assert done.returncode == 0, done.stderr
    of_nodes = {f"epochs.node{node:05d}.jsonl" for node in range(RANKS // PER_NODE)}
    others = {"spec.json", "provenance.json", "events.jsonl", "result.json"}
    assert {file.name for file in run.path.iterdir()} == of_nodes | others
    found = read_run(run.path)
    assert found.run["problem"] is None
    assert rows(run) == dict.fromkeys(range(1, EPOCHS + 1), RANKS)
    entries = (read_json(run.provenance) or {})["hosts"]
    assert [[rank["rank"] for rank in entry["ranks"]] for entry in entries] == [
        list(range(first, first + PER_NODE)) for first in range(0, RANKS, PER_NODE)
    ]
    assert len({rank["pid"] for entry in entries for rank in entry["ranks"]}) == RANKS


def test_a_killed_rank_leaves_the_epochs_of_all_ranks_so_far(mpirun: Command, run: RunDir) -> None:
    assert ranks(mpirun, RANKS, run, "dies").returncode != 0
    assert rows(run) == dict.fromkeys(range(1, EPOCHS), RANKS)


def test_the_one_that_differs_is_named(mpirun: Command, run: RunDir) -> None:
    done = ranks(mpirun, RANKS, run, "differs")
    assert done.returncode != 0
    result = run.read_result() or {}
    assert result["reason"].startswith("the ranks did different numbers of batches in this epoch: rank 0 16")
    assert f"rank {ODD_ONE} 17" in result["reason"]
    assert not rows(run)


def test_an_error_of_all_ranks_is_said_by_rank_0(mpirun: Command, run: RunDir) -> None:
    done = ranks(mpirun, RANKS, run, "fails")
    assert done.returncode != 0
    assert [failure["rank"] for failure in run.failures()] == [0]
    assert (run.read_result() or {})["reason"] == "RuntimeError: all at once"
    assert done.stderr.count("Error (rank ") == 1


def test_16_ranks_of_a_network_write_one_file_of_epochs(mpirun: Command, run: RunDir) -> None:
    done = ranks(mpirun, 16, run, "train")
    assert done.returncode == 0, done.stderr
    assert [file.name for _, file in run.node_files()] == ["epochs.node00000.jsonl"]
    assert not run.epoch_files()
    found = read_run(run.path)
    assert (found.run["status"], found.run["problem"]) == ("completed", None)
    assert rows(run) == {1: 16, 2: 16}
    assert len({row["loss"] for row in found.epochs if row["epoch"] == 2}) == 1
    assert sum(row["samples"] for row in found.epochs if row["epoch"] == 1) == 333
