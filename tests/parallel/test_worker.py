"""A rank of a user's ``tf.distribute`` script: how it finds the others, and what it is told."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hpcnn.parallel import worker
from hpcnn.parallel.addresses import tf_config
from hpcnn.parallel.worker import meet, run_as_worker
from hpcnn.util.errors import RunError


def test_every_rank_gets_the_addresses_of_all_by_rank(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as ranks:
        found = list(ranks.map(lambda rank: meet(tmp_path / "workers", rank, 3, f"node{rank}:100{rank}"), (2, 0, 1)))
    assert found == [["node0:1000", "node1:1001", "node2:1002"]] * 3


def test_ranks_that_never_start_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"rank 1 waited 0\.1 s for rank 0, 2 in .*: they have not started"):
        meet(tmp_path, 1, 3, "node1:1001", seconds=0.1)


def test_the_variable_is_as_tensorflow_documents_it() -> None:
    assert json.loads(tf_config(["a:1", "b:2"], 1)) == {
        "cluster": {"worker": ["a:1", "b:2"]},
        "task": {"type": "worker", "index": 1},
    }


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Return the environments with which a program was started in place of this process."""
    found: list[dict[str, str]] = []
    monkeypatch.setattr(worker.os, "execvpe", lambda program, words, environment: found.append(environment))
    return found


def rank_of_two(tmp_path: Path, **more: str) -> dict[str, str]:
    (tmp_path / "all").write_text("n0:1\nn1:1")
    launched = {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "1", "HPCNN_WORLD_SIZE": "2"}
    return {**launched, "HPCNN_RENDEZVOUS": str(tmp_path), **more}


@pytest.mark.parametrize(
    ("more", "gpu"),
    [
        ({}, None),
        ({"HPCNN_GPUS_PER_NODE": "4", "HPCNN_TASKS_PER_NODE": "1"}, None),  # all of the node's are the only rank's
        ({"HPCNN_GPUS_PER_NODE": "2", "HPCNN_TASKS_PER_NODE": "2"}, "1"),
        ({"HPCNN_GPUS_PER_NODE": "2", "HPCNN_TASKS_PER_NODE": "2", "CUDA_VISIBLE_DEVICES": "4,6"}, "6"),
        ({"HPCNN_GPUS_PER_NODE": "2", "HPCNN_TASKS_PER_NODE": "2", "CUDA_VISIBLE_DEVICES": "3"}, "3"),
    ],
)
def test_several_ranks_of_a_node_have_a_gpu_each(
    more: dict[str, str], gpu: str | None, executed: list[dict[str, str]], tmp_path: Path
) -> None:
    run_as_worker(["true"], rank_of_two(tmp_path, **more))
    assert executed[0].get("CUDA_VISIBLE_DEVICES") == gpu
    assert json.loads(executed[0]["TF_CONFIG"])["task"]["index"] == 1


def test_another_number_of_ranks_than_was_asked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"3 ranks were asked for, and the launcher started 2 \(this is rank 1\)"):
        run_as_worker(["true"], rank_of_two(tmp_path, HPCNN_WORLD_SIZE="3"))


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(RunError, match="no-such-program: cannot be started"):
        run_as_worker(["no-such-program"], {"PATH": str(Path(sys.executable).parent)})
