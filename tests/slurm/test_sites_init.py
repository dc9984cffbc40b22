"""A profile that ``hpcnn sites init`` wrote, used on the cluster that it asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.util import toml
from tests.slurm.conftest import Cluster

pytestmark = pytest.mark.slurm


def test_a_profile_of_a_new_cluster_works_as_it_is(cluster: Cluster, keep: Path) -> None:
    own = {"HPCNN_CONFIG": str(keep / "config")}
    file = keep / "config" / "sites" / "testbed.toml"

    shown = cluster.hpcnn("sites", "init", "--dry-run", **own)
    assert shown.returncode == 0, shown.stderr
    assert not file.exists()
    # variables that change what Slurm's commands print, or which cluster's nodes they show, change nothing
    written = cluster.hpcnn("sites", "init", SINFO_FORMAT="%N", SINFO_PARTITION="debug", **own)
    assert written.returncode == 0, written.stderr
    assert str(file) in written.stdout
    assert file.read_text() == shown.stdout
    found = toml.read(file)
    assert (found["partition_gpu"], found["gpus"], found["gpu_types"], found["cores"]) == ("gpu", 2, ["fake"], 2)

    assert cluster.hpcnn("sites", "check", str(file), **own).returncode == 0
    gpus = ("--gpus-per-node", "2", "--gpu-type", "fake", "--cpus-per-task", "1")
    for resources in ((), gpus):
        asked = cluster.hpcnn("submit", "--site", "testbed", "--test-only", *resources, **own)
        assert asked.returncode == 0, asked.stderr
        assert "to start at" in asked.stdout
    show = ("sh", "-c", "echo $SLURM_JOB_PARTITION $CUDA_VISIBLE_DEVICES")
    run = cluster.submit("--run-dir", str(keep / "run"), *gpus, "--wait", "--", *show, **own)
    assert run.returncode == 0, run.stdout + run.stderr
    assert RunDir(keep / "run").log.read_text().split() == ["gpu", "0,1"]


def test_a_file_that_is_there_is_kept(cluster: Cluster, keep: Path) -> None:
    file = keep / "mine.toml"
    file.write_text("# mine\n")
    refused = cluster.hpcnn("sites", "init", "--name", "mine", "--output", str(file))
    assert refused.returncode == 2
    assert f"--output: {file} is there already" in refused.stderr
    assert file.read_text() == "# mine\n"
    assert cluster.hpcnn("sites", "init", "--name", "mine", "--output", str(file), "--force").returncode == 0
    assert toml.read(file)["scheduler"] == "slurm"


@pytest.mark.parametrize("name", ["../x", "", "a b"])
def test_a_name_that_is_no_file_name_is_refused(cluster: Cluster, name: str) -> None:
    run = cluster.hpcnn("sites", "init", "--dry-run", f"--name={name}/")
    assert run.returncode == 2
    assert "--name: " in run.stderr
