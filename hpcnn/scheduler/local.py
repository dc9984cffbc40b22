"""Runs a job script on this machine: bash instead of sbatch. Knows a script and a log, not what is in them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path


def run(script: Path, log: Path, say: Callable[[str], None] | None = None) -> int:
    """Run a script to its end, its output to ``log`` and, line by line, to ``say``; return its exit status.

    The script gets a process group of its own: when this process is interrupted, the whole job is ended with it and
    KeyboardInterrupt goes on to the caller.
    """
    with log.open("a", encoding="utf-8") as file:
        job = subprocess.Popen(
            ["bash", str(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert job.stdout is not None
        try:
            for line in job.stdout:
                file.write(line)
                file.flush()
                if say is not None:
                    say(line.rstrip("\n"))
            return _status(job.wait())
        except BaseException:
            _end(job)
            raise


def _status(returncode: int) -> int:
    """Return an exit status as a shell would give it: 128 + signal for a process that a signal ended."""
    return 128 - returncode if returncode < 0 else returncode


def _end(job: subprocess.Popen[str]) -> None:
    """End the job's whole process group: asked first, made to after ten seconds."""
    for how, seconds in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.wait(seconds)
            return
