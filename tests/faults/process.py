"""Run a piece of hpcnn in a fork of this process, and kill it at the N-th change of the file system.

A fork has what this process has imported, so that a training in NumPy takes some hundredths of a second. What it starts
is watched with it (``watch.py``).
"""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults import watch

SITE = Path(__file__).parent / "site"
_SECONDS = 600  # a piece of work that takes longer hangs, and says where
_SECONDS_TO_END = 30  # for what it started, when it has ended itself


@dataclass(frozen=True)
class Ended:
    """The end of a piece of work: its status (-9: killed), its output, and the changes that it made, if it ended.

    killed_at: what was about to change, in which process, where a process was killed.
    """

    status: int
    output: str
    changes: int
    killed_at: str = ""

    @property
    def killed(self) -> bool:
        return bool(self.killed_at)


def run(
    action: Callable[[], object], below: Path, *, kill_at: int = 0, torn: bool = False, everyone: bool = True
) -> Ended:
    """Run ``action`` in a fork, and kill it before change ``kill_at`` (from 1; 0: never) of a file ``below`` a folder.

    torn: what it was writing is cut in the middle, as if the kill had come a moment earlier. everyone: all processes
    that it started are killed with the one that made the change; else this one alone.
    """
    # not a TemporaryDirectory: a script that ends in the fork would remove that
    state = tempfile.mkdtemp(prefix="hpcnn-watch-")
    told = {"state": state, "below": str(below), "kill_at": kill_at, "torn": torn, "everyone": everyone}
    try:
        with tempfile.TemporaryFile() as output:
            sys.stdout.flush()
            sys.stderr.flush()
            pid = os.fork()
            if pid == 0:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                _work(action, told)
            _, status = os.waitpid(pid, 0)
            _wait_for_others(state, kill=everyone and Path(state, "killed").exists())
            output.seek(0)
            count, killed = Path(state, "count"), Path(state, "killed")
            return Ended(
                os.waitstatus_to_exitcode(status),
                output.read().decode(errors="replace"),
                int(count.read_text() or 0),
                killed.read_text() or "?" if killed.exists() else "",
            )
    finally:
        shutil.rmtree(state, ignore_errors=True)


def hpcnn(*words: object) -> Callable[[], None]:
    """Return an action that is the command with these words, as a shell would call it."""

    def action() -> None:
        from hpcnn.cli.main import main

        sys.argv = ["hpcnn", *map(str, words)]
        main(sys.argv[1:])

    return action


def _work(action: Callable[[], object], told: dict[str, object]) -> None:
    code = 1
    watched = watch.Watch(**told)  # type: ignore[arg-type]
    try:
        sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        faulthandler.dump_traceback_later(_SECONDS, exit=True, file=sys.stderr)
        others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        os.environ |= {
            watch.VARIABLE: json.dumps(told),
            "PYTHONPATH": os.pathsep.join([str(SITE), *others]),
            "HPCNN_TEST_RUN_FIRST": str(SITE / "sitecustomize.py"),
        }
        watched.begin()
        action()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        watched.end()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait_for_others(state: str, *, kill: bool) -> None:
    """Wait for what the work has started; kill what goes on for too long, or all of it."""
    end = time.monotonic() + (0 if kill else _SECONDS_TO_END)
    while watch.processes(state):
        if time.monotonic() >= end:
            watch.kill_all(state, but=set())
        time.sleep(0.02)
