"""Run a job script on this machine by bash, in a process group of its own. Must not read script or log."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, BinaryIO

from hpcnn.util.exit_status import of_process
from hpcnn.util.files import WriteError, open_own

# What a closed terminal, a batch system or a CI runner sends: the job must not outlive the command that started it.
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_SECONDS_TO_END = 10.0


def run(script: Path, log: Path, on_line: Callable[[str], None] | None = None) -> int:
    """Run a script to its end, its output to ``log`` and, line by line, to ``on_line``; return its exit status.

    The script gets a process group of its own: when this process is interrupted (or gets SIGTERM or SIGHUP), the whole
    job is ended with it and KeyboardInterrupt goes on to the caller.
    """
    with open_own(log, "ab") as file, interruptible():
        job = subprocess.Popen(
            ["bash", str(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        assert job.stdout is not None
        try:
            for line in job.stdout:
                _append(file, line, log)
                if on_line is not None:
                    on_line(line.rstrip("\n"))
            return of_process(job.wait())
        except KeyboardInterrupt:
            _append(file, _waiting(job.stdout) + _end(job), log)
            raise
        except BaseException:
            _end(job)
            raise


def _waiting(output: IO[str]) -> str:
    """Return the lines that a job has written and nobody has read so far."""
    os.set_blocking(output.fileno(), False)
    lines = []
    with contextlib.suppress(TypeError):  # of a pipe that is open and empty, Python reads None
        for line in output:
            lines.append(line)  # one by one: what came before the None is kept
    return "".join(lines)


def _append(file: BinaryIO, line: str, log: Path) -> None:
    try:
        file.write(line.encode())
        file.flush()
    except OSError as error:
        with contextlib.suppress(OSError):
            file.close()  # what could not be written is given up
        raise WriteError(log, error) from error


@contextlib.contextmanager
def running(script: Path, log: Path, keep_open: Sequence[int] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """Start a script in a process group of its own, its output to ``log``; wait for its end, or end it.

    The script outlives a caller that is killed. keep_open: file descriptors that it inherits. The whole group is ended
    where the block is left by an error, and where the caller is interrupted (or gets SIGTERM or SIGHUP).
    """
    with open_own(log, "ab") as file, interruptible():
        job = subprocess.Popen(
            ["bash", str(script)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=keep_open,
        )
        try:
            yield job
            job.wait()
        except BaseException:
            _end_group(job)
            raise


def _end_group(job: subprocess.Popen[bytes]) -> None:
    """End a process group by SIGTERM, and by SIGKILL after ten seconds or another interrupt."""
    end = time.monotonic() + _SECONDS_TO_END
    with contextlib.suppress(ProcessLookupError):
        os.killpg(job.pid, signal.SIGTERM)
        with contextlib.suppress(KeyboardInterrupt):
            while time.monotonic() < end:
                job.poll()  # takes bash itself out of the group once it has ended
                os.killpg(job.pid, 0)
                time.sleep(0.05)
        os.killpg(job.pid, signal.SIGKILL)
    job.wait()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn the signals that ask this process to end into KeyboardInterrupt; an ignored one (nohup) stays ignored."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    taken = {}
    if threading.current_thread() is threading.main_thread():  # Python hands signals to no other
        taken = {number: signal.getsignal(number) for number in _ENDING}
        taken = {number: handler for number, handler in taken.items() if handler is not signal.SIG_IGN}
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


def _end(job: subprocess.Popen[str]) -> str:
    """End the job's whole process group by SIGTERM, and by SIGKILL after ten seconds or another interrupt.

    Returns what it said meanwhile.

    bash ends at once, but mpirun takes its time: its ranks are in groups of their own, which only it ends. The job is
    over when nobody holds its output any more.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(job.pid, signal.SIGTERM)
    said = ""
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        said = job.communicate(timeout=_SECONDS_TO_END)[0]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(job.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        said = job.communicate(timeout=_SECONDS_TO_END)[0] or said
    return said
