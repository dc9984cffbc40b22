"""Runs a command in a real terminal of 80 columns and 24 lines, and returns what a person sees there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyte

COLUMNS, LINES = 80, 24
_SECONDS = 60
HPCNN = Path(sys.executable).parent / "hpcnn"


@dataclass(frozen=True)
class Seen:
    """What a command printed, as a terminal shows it. lines: all of them, those that have scrolled away too."""

    lines: list[str]
    status: int
    wrapped: list[str]
    raw: bytes

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def see(*words: str, folder: Path, variables: Mapping[str, str] | None = None, columns: int = COLUMNS) -> Seen:
    """Run ``hpcnn`` with these words in a terminal. wrapped: lines that the terminal had to break."""
    raw, status = _run([str(HPCNN), *words], folder, {**os.environ, **(variables or {})}, columns)
    return shown(raw, status, columns)


def type_line(line: str, *, folder: Path, variables: Mapping[str, str]) -> Seen:
    """Run a line of bash in a terminal, with these variables alone."""
    raw, status = _run(["bash", "-c", line], folder, variables, COLUMNS, seconds=300)
    return shown(raw, status)


def shown(raw: bytes, status: int = 0, columns: int = COLUMNS) -> Seen:
    """Return what a terminal of ``columns`` shows of ``raw``; it is as long as all that is printed."""
    printed = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw.decode()).split("\n")
    # a line that is drawn anew begins at \r
    wrapped = [part.rstrip() for line in printed for part in line.split("\r") if len(part.rstrip()) > columns]
    screen = pyte.Screen(columns, len(printed) + sum(len(line) // columns for line in printed) + LINES)
    pyte.ByteStream(screen).feed(raw)
    lines = [line.rstrip() for line in screen.display]
    return Seen("\n".join(lines).rstrip().split("\n"), status, wrapped, raw)


def _run(
    words: list[str], folder: Path, variables: Mapping[str, str], columns: int, seconds: float = _SECONDS
) -> tuple[bytes, int]:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    environment = {key: value for key, value in variables.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment["TERM"] = "xterm-256color"
    process = subprocess.Popen(
        words, cwd=folder, env=environment, stdin=follower, stdout=follower, stderr=follower, start_new_session=True
    )
    os.close(follower)
    raw, deadline = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            if select.select([leader], [], [], 0.1)[0]:
                try:
                    raw += os.read(leader, 65536)
                except OSError:  # the other end has closed
                    break
            elif process.poll() is not None:
                break
        return raw, process.wait(timeout=_SECONDS)
    finally:
        os.close(leader)
        if process.poll() is None:
            process.kill()
            process.wait()
