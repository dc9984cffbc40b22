"""No test depends on what a user, a launcher or a shell has set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.isolation import CACHE, DATA, isolated

ROOT = Path(__file__).parents[1]
# What a login shell, a job and an editor may leave in the environment.
HOSTILE = {
    "HPCNN_RUNS": "/elsewhere",
    "HPCNN_SITE": "narval",
    "HPCNN_WORLD_SIZE": "8",
    "HPCNN_RUN_DIR": "/elsewhere/run",
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "8",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMP_NUM_THREADS": "1",
    "KERAS_BACKEND": "torch",
    "TF_CPP_MIN_LOG_LEVEL": "0",
    "MPLBACKEND": "nowhere",
    "GIT_DIR": "/elsewhere/.git",
    "MAKEFLAGS": "-n",
    "CDPATH": "/",
    "BASH_ENV": "/elsewhere/profile",
    "COLUMNS": "20",
    "FORCE_COLOR": "1",
    "LC_ALL": "tr_TR.UTF-8",
    "PYTHONSAFEPATH": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
# Tests that failed, or would, in such an environment: profiles that are read when a file is imported, a program
# that is interrupted, tables and help as wide as a terminal, and a scaling report that a cache would answer.
SENSITIVE = (
    "tests/jobs/test_interact.py",
    "tests/machine/container/test_build.py::test_an_interrupted_build_leaves_neither_image_nor_process",
    "tests/cli/test_main.py::test_every_field_is_an_option_with_its_words",
    "tests/cli/test_study_submit.py",
)


def test_what_is_set_does_not_reach_a_test(tmp_path: Path) -> None:
    environment = isolated({"PATH": "/bin", "HOME": "/home/me", "HPCNN_DATA": "/data", **HOSTILE}, tmp_path)
    assert environment["PATH"] == "/bin"
    assert environment["HOME"] == str(tmp_path)
    assert (environment[DATA], environment[CACHE]) == ("/data", "/home/me/.cache/hpcnn")
    assert not {name for name, value in HOSTILE.items() if environment.get(name) == value}
    # a worker of pytest-xdist starts from what the first process has isolated already
    again = isolated(environment, tmp_path / "worker")
    assert (again[DATA], again[CACHE], again["HOME"]) == ("/data", "/home/me/.cache/hpcnn", str(tmp_path / "worker"))


def test_sensitive_tests_pass_in_a_hostile_environment(tmp_path: Path) -> None:
    """With a user's profile that no packaged site has, and SIGINT ignored as in a shell's background jobs."""
    profile = tmp_path / "config" / "sites" / "mine.toml"
    profile.parent.mkdir(parents=True)
    profile.write_text('scheduler = "slurm"\ncores = 4\ntime = "01:00:00"\naccount_rule = "required"\n')
    environment = {**os.environ, **HOSTILE, "HPCNN_CONFIG": str(tmp_path / "config"), "XDG_CONFIG_HOME": "/elsewhere"}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *SENSITIVE],
        cwd=ROOT,
        env={name: value for name, value in environment.items() if name != "PYTHONSAFEPATH"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert ended.returncode == pytest.ExitCode.OK, ended.stdout
