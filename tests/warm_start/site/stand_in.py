"""The process that a launcher started, while a fork of the server does its work: passes signals on, and ends alike."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

_PASSED_ON = {
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGALRM),
}


def hand_over(address: str) -> None:
    """Let a fork of the server be this process until it ends. Returns, to start cold, where no server listens."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
    except OSError:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # until there is somebody to pass them on to
    request = json.dumps(_this_process()).encode()
    socket.send_fds(connection, [len(request).to_bytes(8, "big") + request], [0, 1, 2])
    _end_as(_follow(connection))


def _this_process() -> dict[str, object]:
    ignored = [number for number in _PASSED_ON if signal.getsignal(number) is signal.SIG_IGN]
    umask = os.umask(0)
    os.umask(umask)
    return {
        "pid": os.getpid(),
        "words": sys.orig_argv[1:],
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "cores": sorted(os.sched_getaffinity(0)),
        "ignored": ignored,
        "umask": umask,
        "niceness": os.nice(0),
        "file_size": resource.getrlimit(resource.RLIMIT_FSIZE),
    }


def _follow(connection: socket.socket) -> int:
    """Pass signals on until the fork has ended; return its status as ``os.waitpid`` gives it."""
    lines = connection.makefile()
    pid = int(lines.readline())
    for number in _PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda received, frame: _pass_on(pid, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    return int(lines.readline() or signal.SIGKILL)


def _pass_on(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended, and its status is on the way
        os.kill(pid, number)


def _end_as(status: int) -> NoReturn:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))
