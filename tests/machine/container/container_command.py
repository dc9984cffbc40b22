"""The command ``hpcnn container``, with an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main


def start(environment: dict[str, str], *words: object) -> subprocess.Popen[str]:
    """Start ``hpcnn container`` as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "hpcnn", "container", *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def container(environment: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    """Call ``hpcnn container`` in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(environment):
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        ended = CliRunner().invoke(main, ["container", *map(str, words)], catch_exceptions=False)
    return subprocess.CompletedProcess(words, ended.exit_code, ended.stdout, ended.stderr)
