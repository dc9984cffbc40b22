"""Trainings and reports of the tests start from a process that has loaded their packages already.

Loading TensorFlow takes most of the time of a small training: several seconds of computing, in each of some hundred
processes. A *server* loads it once, as ``hpcnn train`` does, and forks; another one loads pandas, scipy, matplotlib
and Optuna. A process that would load TensorFlow for ``hpcnn train`` and the like asks the server for such a fork
(``site/sitecustomize.py``, which Python runs first), and stays as its *stand-in*: it passes signals on, and ends as the
fork ends. What trains is a real process, with the words, environment, folder, files and cores of the stand-in; ranks of
MPI meet as ever.

What differs from a process of its own: the variables that glibc and TensorFlow read when they are loaded
(``MALLOC_ARENA_MAX``, ``LD_PRELOAD``) have no effect, and its parent is the server. Tests of the start itself, of
limits that a parent sets, and all tests on the cluster have the marker ``cold``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

# Where the server listens. Without it every process starts cold.
SOCKET = "HPCNN_TEST_WARM_START"
# A file of Python that each process which starts warm runs first: what breaks hpcnn for a test.
RUN_FIRST = "HPCNN_TEST_RUN_FIRST"
# The process whose work a fork does: it ends with the fork, and the fork with it.
STAND_IN = "HPCNN_TEST_STAND_IN"
SITE = Path(__file__).parent / "site"
ROOT = Path(__file__).parents[2]


@contextmanager
def servers(folder: Path, kinds: tuple[str, ...] = ("training", "tables")) -> Iterator[dict[str, str]]:
    """Run the servers while the block runs, with their sockets in ``folder``; give the variables that lead to them.

    A process that has them in its environment is started warm, and so are those that it starts.
    """
    address = folder / "warm-start"
    with ExitStack() as running:
        for what in kinds:
            running.enter_context(_server(f"{address}.{what}"))
        yield _variables(address)


@contextmanager
def _server(address: str) -> Iterator[None]:
    words = (sys.executable, "-m", f"{__name__}.server", address)
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.stdin.close()


def _variables(socket: Path) -> dict[str, str]:
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {SOCKET: str(socket), "PYTHONPATH": os.pathsep.join([str(SITE), *filter(None, others)])}
