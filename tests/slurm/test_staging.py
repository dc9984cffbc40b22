"""Data on the disks of two nodes of a real cluster: each rank reads its node's copy, and the record says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcnn.machine.smoke import weights
from hpcnn.rundir.layout import RunDir
from tests.slurm.conftest import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.mpi]

_RANKS = ("--nodes", "2", "--ntasks-per-node", "1", "--cpus-per-task", "1", "--sbatch-option", "nodelist=c1,c2")
_TRAINING = (
    *("--model", "scinet-cnn1", "--epochs", "1", "--batch-size", "50", "--samples", "200", "--test-samples", "20"),
    *("--pixel-scale", "unit", "--learning-rate", "0.1", "--checkpoint", "--wait"),
)
_NODES = ("c1", "c2")


@dataclass(frozen=True)
class Disks:
    """A folder that is another one on each node, mounted there. folder: where all nodes have theirs."""

    cluster: Cluster
    keep: Path

    @property
    def folder(self) -> Path:
        return self.keep / "disk"

    def on(self, node: str, line: str) -> None:
        """Run a line of bash on a node."""
        self.cluster.slurm("srun", f"--nodelist={node}", "--nodes=1", "--ntasks=1", "sh", "-c", line)

    def train(self, run: RunDir, data: str) -> tuple[str, dict[str, Any]]:
        """Train on two nodes whose site has these disks; return the log, and what the record says of the copies."""
        sites = self.cluster.shared / "config" / "sites"
        (sites / "testbed-disk.toml").write_text(
            f'{(sites / "testbed.toml").read_text()}local_disk = "{self.folder}"\n'
        )
        words = ("submit", "--site", "testbed-disk", "--run-dir", str(run.path), *_RANKS, "--data", data, *_TRAINING)
        done = self.cluster.hpcnn(*words, seconds=240)
        assert done.returncode == 0, done.stdout + done.stderr + run.log.read_text()
        (event,) = [e for e in map(json.loads, run.events.read_text().splitlines()) if e["key"] == "staged"]
        assert event["value"] > 0
        return run.log.read_text(), event["metadata"]

    def left(self) -> list[Path]:
        """Return what is left on the disks that are folders of the machine."""
        return [file for node in _NODES for file in (self.keep / f"own-{node}").iterdir()]


@pytest.fixture
def disks(cluster: Cluster, keep: Path) -> Iterator[Disks]:
    found = Disks(cluster, keep)
    for path in (found.folder, *(keep / f"own-{node}" for node in _NODES)):
        path.mkdir()
    for node in _NODES:
        found.on(node, f"mount --bind {keep}/own-{node} {found.folder}")
    yield found
    for node in _NODES:
        found.on(node, f"umount -l {found.folder}")  # slurmd keeps a file open that it could not write


def test_each_node_reads_its_own_copies(cluster: Cluster, mpi: None, disks: Disks, keep: Path) -> None:
    """HDF5 by sbcast, six files of Parquet by a task a node."""
    for data in (f"h5:{keep}/d.h5", f"parquet:{keep}/d"):
        assert cluster.hpcnn("data", "convert", "digits", data, "--samples", "400").returncode == 0
    first = next((keep / "d").glob("train*"))
    for number in range(4):
        shutil.copy(first, keep / "d" / f"train-more{number}.parquet")
    ends = []
    for data, how in ((f"h5:{keep}/d.h5", "sbcast"), (f"parquet:{keep}/d", "one task a node")):
        run = RunDir(keep / data[:2])
        log, facts = disks.train(run, data)
        assert "to the disks of 2 nodes in " in log
        assert " itself: " not in log
        assert (facts["how"], facts["nodes"], facts["originals"]) == ([how], 2, {})
        assert disks.left() == []
        ends.append(weights(run.path / "checkpoints" / "epoch-001.keras"))
    assert max(np.abs(ends[0][name] - ends[1][name]).max() for name in ends[0]) < 5e-5


def test_a_node_whose_disk_is_full_reads_the_original_and_says_so(
    cluster: Cluster, mpi: None, disks: Disks, keep: Path
) -> None:
    assert cluster.hpcnn("data", "convert", "digits", f"h5:{keep}/d.h5", "--samples", "400").returncode == 0
    disks.on("c2", f"umount {disks.folder} && mount -t tmpfs -o size=100k none {disks.folder}")
    log, facts = disks.train(RunDir(keep / "run"), f"h5:{keep}/d.h5")
    assert "sbcast failed (status" in log
    assert f"hpcnn: c2: reading {keep}/d.h5 itself: " in log
    assert "hpcnn: c1: reading" not in log
    assert list(facts["originals"]) == ["c2"]
    assert disks.left() == []
