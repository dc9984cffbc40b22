"""The allreduce of ranks on two nodes, measured by a real Slurm job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from tests.slurm.conftest import Cluster

pytestmark = pytest.mark.slurm

_WORDS = ("bench", "allreduce", "--site", "testbed", "--nodes", "2", "--ntasks-per-node", "1", "--cpus-per-task", "1")


@pytest.mark.slow
@pytest.mark.mpi
def test_ranks_on_two_nodes_are_measured(cluster: Cluster, mpi: None, keep: Path) -> None:
    words = ("--sizes", "1K..16K", "--repeats", "6", "--wait", "--format", "json", "--run-dir", str(keep / "run"))
    ended = cluster.hpcnn(*_WORDS, *words, seconds=240)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    result = json.loads(RunDir(keep / "run").allreduce.read_text())
    assert (result["ranks"], result["nodes"], len(set(result["hosts"]))) == (2, 2, 2)
    assert set(result["hosts"]) < {"c1", "c2", "c3"}  # Slurm chooses: a node may still clean up after the job before
    assert json.loads(ended.stdout) == result
    assert result["alpha_seconds"] > 1e-7
