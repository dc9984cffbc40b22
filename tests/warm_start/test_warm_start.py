"""A process that is started warm is, for whoever starts it, like any other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import warm_start

# Says what it was given, then does what it was told. It has the name of the command, so that it is handed over.
PROGRAM = """\
import json, os, signal, sys, time
facts = {
    "words": sys.argv, "folder": os.getcwd(), "variable": os.environ.get("A_VARIABLE"), "input": sys.stdin.read(),
    "umask": os.umask(0), "cores": sorted(os.sched_getaffinity(0)), "main": __name__, "parent": os.getppid(),
    "warm": "tensorflow" in sys.modules, "pid": os.getpid(),
}
print(json.dumps(facts), flush=True)
print("an error", file=sys.stderr)
match sys.argv[2]:
    case "exit": sys.exit(int(sys.argv[3]))
    case "raise": raise RuntimeError("a reason")
    case "kill": os.kill(os.getpid(), signal.SIGKILL)
    case "wait": signal.signal(signal.SIGUSR2, lambda *_: sys.exit(75)); time.sleep(60)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    pytest.importorskip("tensorflow", reason="the server of warm starts loads TensorFlow (make venv)")
    file = tmp_path / "bin" / "hpcnn"
    file.parent.mkdir()
    file.write_text(PROGRAM)
    return file


def start(program: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, str(program), "train", *words],
        cwd=program.parent,
        env={**os.environ, **variables},
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


def test_it_has_what_its_parent_gave_it_and_ends_with_its_own_status(program: Path) -> None:
    os.umask(0o027)
    try:
        with start(program, "exit", "3", A_VARIABLE="a value") as process:
            output, errors = process.communicate("some input")
    finally:
        os.umask(0o022)
    facts = json.loads(output)
    assert process.returncode == 3
    assert errors == "an error\n"
    assert facts["warm"]
    assert facts["main"] == "__main__"
    assert facts["words"] == [str(program), "train", "exit", "3"]
    assert (facts["folder"], facts["variable"], facts["input"]) == (str(program.parent), "a value", "some input")
    assert (facts["umask"], facts["cores"]) == (0o027, sorted(os.sched_getaffinity(0)))
    assert facts["pid"] != process.pid
    assert facts["parent"] != os.getpid()


def test_an_error_is_a_traceback_and_status_1(program: Path) -> None:
    with start(program, "raise") as process:
        _, errors = process.communicate("")
    assert process.returncode == 1
    assert errors.startswith("an error\nTraceback")
    assert errors.endswith("RuntimeError: a reason\n")


def test_a_process_that_was_killed_was_killed_for_its_parent_too(program: Path) -> None:
    with start(program, "kill") as process:
        process.communicate("")
    assert process.returncode == -signal.SIGKILL


@pytest.fixture
def waiting(program: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Give a process that waits for a signal, and the number of the one that does its work."""
    with start(program, "wait") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        pid = json.loads(process.stdout.readline())["pid"]
        time.sleep(0.3)  # until it has its handler
        yield process, pid
        process.kill()


def test_signals_reach_it(waiting: tuple[subprocess.Popen[str], int]) -> None:
    process, _ = waiting
    process.send_signal(signal.SIGUSR2)
    assert process.wait(timeout=30) == 75


def test_it_ends_with_the_one_that_stands_in_for_it(waiting: tuple[subprocess.Popen[str], int]) -> None:
    process, pid = waiting
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.cold
def test_a_test_can_ask_for_a_cold_start(program: Path) -> None:
    with start(program, "exit", "0") as process:
        output, _ = process.communicate("")
    facts = json.loads(output)
    assert not facts["warm"]
    assert facts["pid"] == process.pid


def test_without_a_server_a_start_is_cold(program: Path, tmp_path: Path) -> None:
    with start(program, "exit", "0", **{warm_start.SOCKET: str(tmp_path / "nobody")}) as process:
        output, _ = process.communicate("")
    assert process.returncode == 0
    assert not json.loads(output)["warm"]
