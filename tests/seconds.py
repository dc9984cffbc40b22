"""How long the files of tests compute, measured while they run: `make test-seconds` writes tests/slow_files.txt.

A plugin of pytest (``-p tests.seconds``, HPCNN_TEST_SECONDS names the file that its workers append to), and a command
(``python -m tests.seconds MEASURED``) that prints the list. Processor time counts, of a worker and of all processes
that it has started, since another worker computes on the same cores. A server of warm processes counts too.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

# `make check` leaves out the files that computed for longer, all their tests together.
LEAST_SECONDS = 5.0
_before = 0.0


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Append what was computed since the test before, to which a fixture counts that it asked for first."""
    global _before
    if not os.environ.get("PYTEST_XDIST_WORKER"):
        return
    now = _processor_seconds()
    with Path(os.environ["HPCNN_TEST_SECONDS"]).open("a", encoding="utf-8") as file:
        file.write(f"{now - _before:.2f} {nodeid}\n")
    _before = now


def _processor_seconds() -> float:
    """Return the CPU seconds of this process, of those that it started, and of theirs that have ended."""
    own = psutil.Process()
    seconds = 0.0
    for process in [own, *own.children(recursive=True)]:
        try:
            seconds += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue  # it has ended meanwhile: its parent has its seconds
    return seconds


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Count from here: what a worker needs to start belongs to no test."""
    global _before
    _before = _processor_seconds()


def main(measured: Path) -> None:
    """Print the files that computed for longer than LEAST_SECONDS, and for how long, the longest first."""
    files: Counter[str] = Counter()
    for line in measured.read_text(encoding="utf-8").splitlines():
        seconds, _, test = line.partition(" ")
        files[test.partition("::")[0]] += float(seconds)
    for name, seconds in files.most_common():
        if seconds > LEAST_SECONDS:
            print(f"{seconds:4.0f} {name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
