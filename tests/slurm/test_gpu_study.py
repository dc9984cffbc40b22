"""The packaged study over nodes and GPUs, as a cluster with GPUs takes it; the testbed's GPUs are device files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.slurm.conftest import Cluster

pytestmark = pytest.mark.slurm

PACKAGED = Path(__file__).parents[2] / "scaling_studies" / "nodes_and_gpus.toml"
# What each rank sees of its node's GPUs; FOLDER is the study's.
PROGRAM = 'echo "$SLURM_JOB_NUM_NODES-$SLURM_NTASKS $(hostname) $CUDA_VISIBLE_DEVICES" >> FOLDER/seen'


@pytest.fixture
def study(keep: Path) -> Path:
    """The study with the points of a cluster of two nodes with two GPUs, in a copy as its comment says."""
    text = PACKAGED.read_text()
    *points, last = text.split("[[points]]\n")
    assert "nodes = 4\n" in last
    file = keep / "nodes_and_gpus.toml"
    file.write_text("[[points]]\n".join(points).replace("_per_node = 4", "_per_node = 2"))
    return file


def call(cluster: Cluster, study: Path, *words: str) -> str:
    where = ("--site", "testbed", "--runs", str(study.parent / "runs"))
    done = cluster.hpcnn("study", "submit", str(study), *where, *words, cwd=study.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_slurm_would_start_every_array(cluster: Cluster, study: Path) -> None:
    lines = call(cluster, study, "--test-only").splitlines()
    assert len(lines) == 3
    assert all("to start at" in line for line in lines), lines
    assert not (study.parent / "runs").exists()


def test_more_gpus_than_a_node_has_are_refused_in_sbatchs_words(cluster: Cluster, study: Path) -> None:
    study.write_text(study.read_text().replace("gpus_per_node = 2", "gpus_per_node = 3"))
    where = ("--site", "testbed", "--runs", str(study.parent / "runs"))
    done = cluster.hpcnn("study", "submit", str(study), *where, "--test-only", cwd=study.parent)
    assert done.returncode != 0
    assert "gpus" in done.stderr.lower() or "node configuration is not available" in done.stderr, done.stderr


def test_each_rank_has_a_gpu(cluster: Cluster, study: Path) -> None:
    head, rest = study.read_text().split("[train]\n")
    resources = rest[rest.index("[resources]") :]
    program = json.dumps(["sh", "-c", PROGRAM.replace("FOLDER", str(study.parent))])
    plain = head.replace('kind = "strong"', 'kind = "throughput"').replace("repeats = 3", "repeats = 1")
    study.write_text(f"{plain}program = {program}\n{resources}")
    call(cluster, study, "--wait")
    seen = [line.split() for line in (study.parent / "seen").read_text().splitlines()]
    assert Counter(ranks for ranks, *_ in seen) == {"1-1": 1, "1-2": 2, "2-4": 4}
    assert all(len(line) == 3 for line in seen), "a rank without a GPU"
    assert len({host for ranks, host, _ in seen if ranks == "2-4"}) == 2
