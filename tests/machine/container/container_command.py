"""The command ``hpcnn container``, as a process with an environment of its own."""

from __future__ import annotations

import subprocess
import sys


def start(environment: dict[str, str], *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hpcnn", "container", *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def container(environment: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    """Run ``hpcnn container`` to its end."""
    process = start(environment, *words)
    output, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess(words, process.returncode, output, errors)
