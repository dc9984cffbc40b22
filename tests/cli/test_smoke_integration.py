"""``hpcnn smoke``: passes with real ranks, and fails when they do not train as one."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import warm_start

pytestmark = [pytest.mark.slow, pytest.mark.mpi]

# Run first in each process that trains: so every real rank gets a broken reduction.
LOCAL_GRADIENTS = """
import hpcnn.parallel.horovod as module
module.Horovod.reduce = lambda self, tensors, name="gradient": list(tensors)
"""
HALF_GRADIENTS = """
import hpcnn.parallel.horovod as module
whole = module.Horovod.reduce
module.Horovod.reduce = lambda self, tensors, name="gradient": [t * 0.5 for t in whole(self, tensors, name)]
"""


def smoke(tmp_path, *words, customize=None):
    """Return the finished process and its wall time in seconds."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("HPCNN_") or key == warm_start.SOCKET}
    env["HPCNN_CONFIG"] = str(tmp_path / "config")
    env["TMPDIR"] = str(tmp_path)
    if customize:
        (tmp_path / "broken.py").write_text(customize)
        env[warm_start.RUN_FIRST] = str(tmp_path / "broken.py")
    begin = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-m", "hpcnn", "smoke", *words], capture_output=True, text=True, env=env, cwd=tmp_path
    )
    return result, time.monotonic() - begin


def test_it_passes_within_90_seconds(tmp_path):
    result, seconds = smoke(tmp_path, "--keep", "kept")
    assert result.returncode == 0, result.stdout + result.stderr
    assert seconds < 90
    verdict = result.stdout.splitlines()[-1]
    assert verdict.startswith("smoke: ok: weights of 1 and 2 ranks differ by at most ")
    runs = {
        name: json.loads((tmp_path / "kept" / name / "result.json").read_text()) for name in ("serial", "horovod-2")
    }
    assert {run["status"] for run in runs.values()} == {"completed"}
    assert min(run["test"]["accuracy"] for run in runs.values()) > 0.8
    provenance = json.loads((tmp_path / "kept" / "horovod-2" / "provenance.json").read_text())
    assert provenance["world_size"] == 2


def test_ranks_that_do_not_reduce_are_found(tmp_path):
    result, _ = smoke(tmp_path, customize=LOCAL_GRADIENTS)
    assert result.returncode == 1
    assert "smoke: ok" not in result.stdout
    assert result.stderr.startswith("Error: the horovod run ended with exit status 1: ")
    assert "ranks" in result.stderr
    assert "Traceback" not in result.stderr


def test_ranks_that_agree_on_something_wrong_are_found(tmp_path):
    result, _ = smoke(tmp_path, "--quiet", customize=HALF_GRADIENTS)
    assert result.returncode == 1
    assert result.stdout.startswith("smoke: FAILED: weights of 1 and 2 ranks differ by at most ")
    assert len(result.stdout.splitlines()) == 1
    kept = Path(result.stderr.removeprefix("the two run directories are in ").strip())
    assert (kept / "serial" / "log.out").is_file()
