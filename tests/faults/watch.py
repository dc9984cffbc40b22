"""Count the changes that a process and its children make to files, and kill at the N-th: one process, or all of them.

Python's audit events say what is about to change; lines that are appended have none, and are counted where they are
written. Children find the variable HPCNN_FAULTS: ``site/sitecustomize.py`` calls ``begin`` in them before anything
else. Must not import anything of the tests: it runs in processes of hpcnn.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

VARIABLE, STAND_IN = "HPCNN_FAULTS", "HPCNN_TEST_STAND_IN"

_CHANGES = {
    *("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate", "os.chmod"),
    "os.utime",
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """Counts the changes below a folder, with all processes that share its state, and kills at one of them.

    state: a folder with the files ``count``, ``processes`` and, after a kill, ``killed``. torn: what the process was
    writing is cut in half before, as if the kill had come a moment earlier. everyone: whether all processes end.
    """

    def __init__(self, state: str, below: str, kill_at: int, torn: bool, everyone: bool) -> None:
        self.state, self.below, self.kill_at, self.torn, self.everyone = state, below, kill_at, torn, everyone
        self._opened: set[str] = set()
        self._last_line = ""
        self._inside = threading.RLock()
        self._count = os.open(f"{state}/count", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with open(f"{state}/processes", "a") as file:  # noqa: PTH123  # pathlib takes 10 ms of a start
            file.write(f"{os.getpid()} {start_of(os.getpid())}\n")

    def begin(self) -> None:
        """Watch this process from now on."""
        sys.addaudithook(self._hear)
        from hpcnn.util.files import LineWriter

        write = LineWriter.write_all

        def counted(lines: LineWriter, records: Any) -> None:
            self._change(str(lines._path))
            write(lines, records)
            self._last_line = str(lines._path)

        LineWriter.write_all = counted  # type: ignore[method-assign]

    def end(self) -> None:
        """Kill no more: the work is done, and what is left is this process's own clearing up."""
        self.kill_at = 0

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES:
                self._change(path)
        elif event in _CHANGES:
            self._change(arguments[0])
        if event in ("os.rename", "os.link") and not isinstance(arguments[0], int):
            self._opened.discard(os.fsdecode(arguments[0]))

    def _change(self, path: object) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # no look at the disk
        if not name.startswith(self.below):
            return
        with self._inside, self._alone():
            count = int(os.pread(self._count, 20, 0) or 0) + 1
            os.pwrite(self._count, f"{count:020d}".encode(), 0)
            if count == self.kill_at:
                self._kill(name)
            self._last_line = ""
        if not name.endswith(".jsonl"):  # earlier lines of a file are not at risk
            self._opened.add(name)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.lockf(self._count, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._count, fcntl.LOCK_UN)

    def _kill(self, name: str) -> None:
        self.kill_at = 0
        if self.torn:
            for file in {*self._opened, self._last_line}:
                _tear(file)
        with open(f"{self.state}/killed", "w") as file:  # noqa: PTH123
            file.write(f"{name} in {' '.join(sys.argv[:3])}")
        if self.everyone:  # last goes the stand-in (tests/warm_start) of this fork, which would take it with it
            kill_all(self.state, but={os.getpid(), int(os.environ.get(STAND_IN) or 0)})
        os.kill(os.getpid(), signal.SIGKILL)


def begin() -> None:
    """Watch this process, a child of one that is watched."""
    told = json.loads(os.environ[VARIABLE])
    os.fsync = lambda descriptor: None  # a kill loses nothing that the operating system has
    Watch(**told).begin()


def processes(state: str) -> set[int]:
    """Return the processes of one piece of work that live: those that are watched, and what they started."""
    found = set()
    with contextlib.suppress(FileNotFoundError), open(f"{state}/processes") as file:  # noqa: PTH123
        for line in file:
            pid, start = line.split()
            if start_of(int(pid)) == start:
                found.add(int(pid))
    mark = state.encode()
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit() and entry != "1":
            with contextlib.suppress(OSError), open(f"/proc/{entry}/environ", "rb") as file:  # noqa: PTH123
                if mark in file.read():
                    found.add(int(entry))
    return found


def kill_all(state: str, but: set[int]) -> None:
    """Kill the processes of one piece of work, but for some."""
    for pid in processes(state) - but:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def start_of(pid: int) -> str:
    """Return when a process began, in the kernel's own unit; nothing for one that has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def _tear(file: str) -> None:
    """Cut a file that is being written in half; of a file of lines, the last one."""
    try:
        with open(file, "rb") as opened:  # noqa: PTH123
            content = opened.read()
    except OSError:  # it has another name by now
        return
    if file.endswith(".jsonl"):
        start = content.rstrip(b"\n").rfind(b"\n") + 1
        os.truncate(file, start + (len(content) - start) // 2)
    elif ".tmp" in file or ".owner" in file:
        os.truncate(file, len(content) // 2)
