"""``python -m tests.warm_start.server SOCKET``: loads packages when the first process asks, and forks for each.

Which packages, the end of SOCKET says: ``training``, ``tables`` or ``jobs``.

It ends when its standard input is closed, so with the process that started it; a fork ends with its stand-in.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import resource
import runpy
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.warm_start import RUN_FIRST, STAND_IN


@dataclass
class Fork:
    """A process that this one forked, the descriptor that tells its end, and the connection to its stand-in."""

    pid: int
    ended: int
    stand_in: socket.socket


def main(address: str) -> None:
    """Serve until standard input is closed. In a fork this returns, and the fork is what was asked for."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    print("ready", flush=True)
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        request = serve(selector, listener, functools.cache(LOAD[Path(address).suffix]))
    listener.close()
    if request:
        become(request)


def load_training() -> None:
    """Load what ``hpcnn train`` loads before it knows what it trains."""
    from hpcnn.util.tf_import import import_tensorflow, without_extras

    with without_extras():
        import_tensorflow()
        import keras  # noqa: F401


def load_tables() -> None:
    """Load what reports, predictions and searches load before they know what they read."""
    for name in (
        "scipy.stats",
        "scipy.optimize",
        "pandas",
        "matplotlib.figure",
        "matplotlib.backends.backend_agg",
        "optuna",
    ):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()


def load_jobs() -> None:
    """Load what job scripts start besides TensorFlow: trainings in NumPy, records, workers of searches."""
    for name in ("train.numpy.run", "train.session", "cli.main", "cli.train", "cli.record", "cli.search"):
        importlib.import_module(f"hpcnn.{name}")
    for name in ("optuna", "sklearn.datasets", "hpcnn.search.worker", "hpcnn.study.run"):
        importlib.import_module(name)
    gc.freeze()


LOAD = {".training": load_training, ".tables": load_tables, ".jobs": load_jobs}


def serve(selector: selectors.BaseSelector, listener: socket.socket, load: Callable[[], None]) -> dict[str, Any] | None:
    """Answer requests until the parent is gone. Returns the request in each fork, None in the server.

    ``load`` is called before each fork, and works the first time.
    """
    while True:
        for key, _ in selector.select():
            if not _is_registered(key, selector):
                continue  # both ends of a fork at once: it was told of by the one before
            if key.fileobj == 0:
                stop_all(selector)
                return None
            if key.fileobj is listener:
                connection, _ = listener.accept()
                load()
                request = fork_for(connection, selector)
                if request:
                    return request
            elif isinstance(key.data, Fork):
                end(key, selector)


def _is_registered(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> bool:
    try:
        return selector.get_key(key.fd) is key
    except KeyError:
        return False


def fork_for(connection: socket.socket, selector: selectors.BaseSelector) -> dict[str, Any] | None:
    """Fork for a stand-in. Returns its request in the fork, with its files in place of this process's."""
    head, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    text, size = head[8:], int.from_bytes(head[:8], "big")
    while len(text) < size:
        text += connection.recv(1 << 20)
    pid = os.fork()
    if pid == 0:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        for key in list(selector.get_map().values()):
            if isinstance(key.data, Fork):
                key.data.stand_in.close()
                with contextlib.suppress(OSError):
                    os.close(key.data.ended)
        connection.close()
        request: dict[str, Any] = json.loads(text)
        return request
    for file in files:
        os.close(file)
    connection.sendall(f"{pid}\n".encode())
    fork = Fork(pid, os.pidfd_open(pid), connection)
    selector.register(fork.ended, selectors.EVENT_READ, fork)
    selector.register(connection, selectors.EVENT_READ, fork)
    return None


def end(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> None:
    """Tell the stand-in how its fork ended; or kill the fork, whose stand-in is gone."""
    fork: Fork = key.data
    if key.fileobj is fork.stand_in:
        os.kill(fork.pid, signal.SIGKILL)
        selector.unregister(fork.stand_in)
        return
    _, status = os.waitpid(fork.pid, 0)
    selector.unregister(fork.ended)
    os.close(fork.ended)
    if fork.stand_in in {other.fileobj for other in selector.get_map().values()}:
        selector.unregister(fork.stand_in)
    with contextlib.suppress(OSError):
        fork.stand_in.sendall(f"{status}\n".encode())
    fork.stand_in.close()


def stop_all(selector: selectors.BaseSelector) -> None:
    for fork in {key.data.pid: key.data for key in selector.get_map().values() if isinstance(key.data, Fork)}.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(fork.pid, signal.SIGKILL)


def become(request: dict[str, Any]) -> None:
    """Take over what a process has from its parent, and run the script or module that its words name."""
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # else all forks would draw the same numbers
    if "KERAS_HOME" in request["environment"]:
        os.environ["KERAS_HOME"] = request["environment"]["KERAS_HOME"]
        importlib.reload(sys.modules["keras.src.backend.config"])  # which looked for it when it was loaded
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ[STAND_IN] = str(request["pid"])
    os.sched_setaffinity(0, request["cores"])
    os.umask(request["umask"])
    os.nice(request["niceness"] - os.nice(0))
    resource.setrlimit(resource.RLIMIT_FSIZE, tuple(request["file_size"]))
    open_streams()
    if os.environ.get(RUN_FIRST):
        runpy.run_path(os.environ[RUN_FIRST])
    program, *words = request["words"]
    sys.path[1:1] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.orig_argv[:] = [sys.executable, program, *words]
    if program == "-m":
        sys.path[0] = str(Path.cwd())
        sys.argv[1:] = words[1:]
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(program).parent)
        sys.argv[:] = [program, *words]
        runpy.run_path(program, run_name="__main__")


def open_streams() -> None:
    """Open the standard streams anew: whether one is a pipe, a file or a terminal, they learn when they are opened."""
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]


if __name__ == "__main__":
    main(sys.argv[1])
