"""Run a piece of hpcnn in a fork of this process, and kill it at the N-th change of the file system.

A fork has what this process has imported, so that a training in NumPy takes some hundredths of a second. Python's audit
events say what is about to change; lines that are appended have none, and are counted where they are written.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHANGES = {
    *("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate", "os.chmod"),
    "os.utime",
}
_SECONDS = 60  # a piece of work that takes longer hangs, and says where
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Ended:
    """The end of a piece of work: its status (-9: killed), its output, and the changes that it made, if it ended."""

    status: int
    output: str
    changes: int

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


def run(action: Callable[[], object], below: Path, *, kill_at: int = 0, torn: bool = False) -> Ended:
    """Run ``action`` in a fork, and kill it before change ``kill_at`` (from 1; 0: never) of a file ``below`` a folder.

    torn: what it was writing is cut in the middle, as if the kill had come a moment earlier.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as count:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            _work(action, str(below), kill_at, torn, count.fileno())
        _, status = os.waitpid(pid, 0)
        output.seek(0)
        count.seek(0)
        changes = int(count.read() or 0)
        return Ended(os.waitstatus_to_exitcode(status), output.read().decode(errors="replace"), changes)


def hpcnn(*words: object) -> Callable[[], None]:
    """Return an action that is the command with these words, as a shell would call it."""

    def action() -> None:
        from hpcnn.cli.main import main

        sys.argv = ["hpcnn", *map(str, words)]
        main(sys.argv[1:])

    return action


def _work(action: Callable[[], object], below: str, kill_at: int, torn: bool, count: int) -> None:
    code = 1
    changes = _Changes(below, kill_at, torn)
    try:
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        faulthandler.dump_traceback_later(_SECONDS, exit=True, file=sys.stderr)
        changes.watch()
        action()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        changes.kill_at = 0
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(count, str(changes.count).encode())
        os._exit(code)


class _Changes:
    """Counts changes of this process, and ends it at one of them."""

    def __init__(self, below: str, kill_at: int, torn: bool) -> None:
        self.below, self.kill_at, self.torn = below, kill_at, torn
        self.count = 0
        self.opened: set[str] = set()

    def watch(self) -> None:
        from hpcnn.util.files import LineWriter

        sys.addaudithook(self._hear)
        write = LineWriter.write

        def counted(lines: LineWriter, record: Any) -> None:
            self._change(str(lines._path))
            write(lines, record)
            self.opened.add(str(lines._path))

        close = LineWriter.close

        def closed(lines: LineWriter) -> None:
            close(lines)
            self.opened.discard(str(lines._path))

        LineWriter.write, LineWriter.close = counted, closed  # type: ignore[method-assign]

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES:
                self._change(path)
        elif event in _CHANGES:
            self._change(arguments[0])
        if event in ("os.rename", "os.link") and not isinstance(arguments[0], int):
            self.opened.discard(os.fsdecode(arguments[0]))

    def _change(self, path: object) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # no look at the disk
        if not name.startswith(self.below):
            return
        self.count += 1
        if self.count == self.kill_at:
            if self.torn:
                self.kill_at = 0
                for file in self.opened:
                    _tear(file)
            os.kill(os.getpid(), signal.SIGKILL)
        if not name.endswith(".jsonl"):  # earlier lines of a file are not at risk
            self.opened.add(name)


def _tear(file: str) -> None:
    """Cut a file that is being written in half; of a file of lines, the last one."""
    try:
        with open(file, "rb") as opened:  # noqa: PTH123
            content = opened.read()
    except OSError:
        return
    if file.endswith(".jsonl"):
        start = content.rstrip(b"\n").rfind(b"\n") + 1
        os.truncate(file, start + (len(content) - start) // 2)
    elif ".tmp" in file or ".owner" in file:
        os.truncate(file, len(content) // 2)
