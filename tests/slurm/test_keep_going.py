"""``study submit --keep-going`` under a real limit of the accounts: so many jobs of a user at a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.conftest import Cluster, wait_for
from tests.testbed import cluster as testbed

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

LIMIT, RUNS = 4, 6


@pytest.fixture
def limit(cluster: Cluster) -> Iterator[int]:
    """Let Slurm keep the limits of accounts, and give the user of the tests a limit of submitted jobs."""
    if not cluster.own:
        pytest.skip("changes the cluster: not one that `make testbed` started")
    before = cluster.bed.slurm_conf.read_text()
    user = ("sacctmgr", "-i", "modify", "user", cluster.slurm("whoami").strip(), "set")
    cluster.slurm(*user, f"MaxSubmitJobs={LIMIT}")
    cluster.bed.slurm_conf.write_text(f"{before}AccountingStorageEnforce=limits\n")
    testbed.restart_controller(cluster.bed)
    try:
        yield LIMIT
    finally:
        cluster.slurm(*user, "MaxSubmitJobs=-1")
        cluster.bed.slurm_conf.write_text(before)
        testbed.restart_controller(cluster.bed)


def test_the_rest_is_submitted_as_room_appears(limit: int, cluster: Cluster, keep: Path) -> None:
    program = json.dumps(["sh", "-c", f'echo "$HPCNN_RUN_DIR" >> {keep}/ran; sleep 2'])
    (keep / "mine.toml").write_text(
        f'name = "mine"\nprogram = {program}\nrepeats = {RUNS // 2}\n[axes]\ncpus_per_task = [1, 2]\n'
    )
    where = ("mine.toml", "--site", "testbed", "--runs", str(keep / "runs"))
    refused = cluster.hpcnn("study", "submit", *where, cwd=keep)
    assert refused.returncode == 1
    assert "AssocMaxSubmitJobLimit" in refused.stderr, refused.stderr

    done = cluster.hpcnn("study", "submit", *where, "--keep-going", "--wait", cwd=keep, seconds=400)
    assert done.returncode == 0, done.stderr
    assert "looking for room again" in done.stderr
    ran = Counter((keep / "ran").read_text().split())
    assert len(ran) == RUNS
    assert set(ran.values()) == {1}, "a run was submitted twice"
    wait_for(lambda: not cluster.slurm("squeue", "-h").strip())
