"""What a job of the testbed used of what it had, as its accounts say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.slurm.conftest import Cluster, wait_for

pytestmark = pytest.mark.slurm

_BUSY = "import time; x = bytearray(300_000_000); end = time.time() + 8\nwhile time.time() < end: pass"


def test_one_thread_on_two_cores(cluster: Cluster, keep: Path) -> None:
    words = ("--run-dir", str(keep / "run"), "--cpus-per-task", "2", "--mem", "1G", "--time", "10", "--wait", "--")
    done = cluster.submit(*words, sys.executable, "-c", _BUSY)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = []

    def known() -> bool:
        shown = cluster.hpcnn("status", "--efficiency", str(keep / "run"), "--format", "json")
        rows[:] = json.loads(shown.stdout)
        return bool(rows) and rows[0]["slurm_state"] == "COMPLETED"

    wait_for(known)
    (row,) = rows
    assert (row["cpus"], row["time_limit_seconds"], row["memory_asked_bytes"]) == (2, 600, 2**30)
    assert 0.2 < row["cpu_share"] < 0.7  # type: ignore[operator]
    assert 300_000_000 < row["memory_used_bytes"] < 500_000_000  # type: ignore[operator]
    assert row["next_time"] == ["less time: --time 0:05:00"]
