"""Hostile strings through a real sbatch: each arrives as it is, or is refused; none runs a command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from tests.faults.values import CANARY, HOSTILE
from tests.slurm.conftest import Cluster

pytestmark = pytest.mark.slurm

STRINGS = [text for text in HOSTILE if text.isprintable() or "\n" in text or "\x1b" in text]
SAY = "import json, os, sys; print(json.dumps([sys.argv[1:], {k: v for k, v in os.environ.items() if k[:2] == 'E_'}]))"


def test_words_and_variables_arrive(cluster: Cluster, keep: Path) -> None:
    run = RunDir(keep / "run")
    variables = {f"E_{number}": text for number, text in enumerate(STRINGS)}
    options = [word for name, text in variables.items() for word in ("--env", f"{name}={text}")]
    done = cluster.submit(
        "--run-dir", str(run.path), *options, "--wait", "--", sys.executable, "-c", SAY, *STRINGS, cwd=keep
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(run.log.read_text()) == [STRINGS, variables]
    assert not list(keep.rglob(CANARY))


@pytest.mark.parametrize("text", [text for text in STRINGS if CANARY in text and "/" not in text])
def test_names_and_keys_arrive_or_are_refused(cluster: Cluster, keep: Path, text: str) -> None:
    run = RunDir(keep / f"run {text}")
    asked = ("--sbatch-option", "hold", "--sbatch-option", f"comment={text}", "--name", text)
    done = cluster.submit("--run-dir", str(run.path), *asked, "--", "true", cwd=keep)
    if done.returncode == 0:
        job = done.stdout.split()[1]
        assert json.loads(run.spec.read_text())["name"] == text
        assert "Command=" + str(run.job_script) in cluster.slurm("scontrol", "show", "job", job)
        cluster.slurm("scancel", job)
    else:
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
    for key in ("--env", "--sbatch-option") if "=" not in text else ():  # else it is a good name with this value
        refused = cluster.submit("--run-dir", str(keep / "other"), key, f"{text}=1", "--", "true", cwd=keep)
        assert (refused.returncode, "Traceback" in refused.stderr) == (2, False), refused.stderr
    assert not list(keep.rglob(CANARY))
