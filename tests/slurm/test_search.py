"""A search on a real cluster: workers of a job array that share the trials, and go on after one was cancelled."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_json, read_lines
from tests.slurm.conftest import Cluster, wait_for

pytestmark = pytest.mark.slurm
pytest.importorskip("optuna", reason="searches need Optuna: pip install '.[search]'")

FILE = """
[search]
method = "grid"
[train]
model = "scinet-hidden-mnist"
data = "digits"
samples = 100
test_samples = 100
epochs = 2000
[resources]
cpus_per_task = 2
[space]
learning_rate = [1e-3, 1e-4]
model.numnodes = [5, 10]
"""


@pytest.fixture
def folder(cluster: Cluster) -> Iterator[Path]:
    """A folder that all nodes see, with a search in it."""
    place = cluster.shared / "search"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / "shared.toml").write_text(FILE)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def call(cluster: Cluster, folder: Path, *words: str) -> str:
    done = cluster.hpcnn("search", *words, "--runs", str(folder / "runs"), cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def status(cluster: Cluster, folder: Path) -> dict[str, Any]:
    (row,) = json.loads(call(cluster, folder, "status", "shared.toml", "--format", "json"))
    found: dict[str, Any] = row
    return found


def completed(search: Path) -> int:
    """Return how many trials have a record of their end."""
    records = (read_json(file) or {} for file in search.glob("trial-*/result.json"))
    return sum(record["status"] == "completed" for record in records)


def test_workers_on_several_nodes_share_the_trials_and_go_on_after_they_were_cancelled(
    cluster: Cluster, folder: Path
) -> None:
    words = ("submit", "shared.toml", "--site", "testbed", "--workers", "2")
    script = call(cluster, folder, *words, "--dry-run")
    assert "#SBATCH --array=0-1" in script
    assert not (folder / "runs").exists()
    search = folder / "runs" / "shared"
    call(cluster, folder, *words)
    (record,) = (read_json(file) or {} for file in (search / "workers").glob("*/job.json"))
    wait_for(lambda: len(list(search.glob("trial-*/epochs.rank00000.jsonl"))) == 2)
    assert status(cluster, folder)["workers_in_queue"] == 2
    cluster.slurm("scancel", str(record["job_id"]))
    wait_for(lambda: not cluster.state(str(record["job_id"])))
    wait_for(lambda: status(cluster, folder)["workers_in_queue"] == 0)
    before = status(cluster, folder)
    assert before["running"] == 0
    assert before["completed"] < 4

    assert "2 workers" in call(cluster, folder, *words)
    wait_for(lambda: completed(search) == 4, seconds=300)
    wait_for(lambda: status(cluster, folder)["completed"] == 4)
    rows = json.loads(call(cluster, folder, "table", "shared.toml", "--format", "json"))
    assert [row["epochs"] for row in rows] == [2000] * 4
    hosts = set()
    for row in rows:
        run = RunDir(row["path"])
        hosts |= {host["host"] for host in (read_json(run.provenance) or {})["hosts"]}
        epochs = [line["epoch"] for line in read_lines(run.epochs(0))]
        assert epochs == list(range(1, 2001)), row
    assert len(hosts) == 2
    assert "all 4 trials have ended" in call(cluster, folder, *words)
