"""benchmarks/study_scale.py on a small scale: its own checks of what the runs wrote, and of the calls of Slurm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.conftest import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[2]


def test_a_study_loses_a_node_and_is_resumed_and_nothing_runs_twice(cluster: Cluster, tmp_path: Path) -> None:
    words = [
        sys.executable,
        str(ROOT / "benchmarks" / "study_scale.py"),
        "--smoke",
        "--json",
        str(tmp_path / "out.json"),
    ]
    environment = {**cluster.environment, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 runs ended, each once; none began again after its end" in done.stdout
    record = json.loads((tmp_path / "out.json").read_text())
    calls = {one["case"]: one["values"] for one in record["results"] if one["way"] == "calls of Slurm"}
    assert calls["cancel"] == [2]  # squeue once, scancel once, whatever the number of runs
