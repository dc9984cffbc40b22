"""What all tests share: an environment of their own, the `hpcnn` command with a time limit, and skips that say why."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.jobs.mpi import find_mpirun, mpi_of
from hpcnn.jobs.mpirun import mpirun_command
from hpcnn.sites.load import load_site
from hpcnn.specs.resources import Resources
from hpcnn.util.tf_import import without_collections
from tests import isolation, tiers, warm_start
from tests.jobs.clock import clock  # noqa: F401
from tests.kept_networks import digits_network, digits_run, own_run, train_kept  # noqa: F401
from tests.scheduler.commands import slurm_commands  # noqa: F401
from tests.synthetic.runs import run_at, run_in  # noqa: F401

BIN = Path(sys.executable).parent
MPIRUN = find_mpirun(os.environ)

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Process = Callable[..., "subprocess.Popen[str]"]


_SETTINGS = pytest.StashKey[contextlib.ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    # What this process writes need not outlive a power cut. The processes that it starts wait for the disk.
    os.fsync = lambda descriptor: None
    config.stash[_SETTINGS] = contextlib.ExitStack()
    home = isolation.isolate()
    config.stash[_SETTINGS].callback(isolation.end, home)
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):  # this process runs the tests
        os.environ.update(config.stash[_SETTINGS].enter_context(warm_start.servers(home)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    with without_collections():
        collected = yield
    gc.freeze()  # what was imported stays: Keras's clear_session() collects, and would look at a million objects
    return collected


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_SETTINGS].close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    tiers.assign(items)  # before pytest chooses by markers, and pytest-xdist reads the groups
    yield
    tiers.check_grouped(config, items)


def pytest_runtest_setup(item: pytest.Item) -> None:
    tiers.give_way(item)
    if item.get_closest_marker("mpi") and (MPIRUN is None or importlib.util.find_spec("horovod") is None):
        pytest.skip("needs Horovod and its mpirun: containers/build-horovod.sh")
    if item.get_closest_marker("long") and not os.environ.get("HPCNN_TEST_LONG"):
        pytest.skip("takes minutes: make test-long")
    if item.get_closest_marker("realdata") and not os.environ.get(isolation.DATA):
        pytest.skip("needs the real data sets: set HPCNN_DATA")


@pytest.fixture(autouse=True)
def _real_data(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Show the real data sets to the tests that ask for them."""
    if request.node.get_closest_marker("realdata"):
        monkeypatch.setenv("HPCNN_DATA", os.environ[isolation.DATA])


@pytest.fixture(autouse=True)
def _cold(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes load TensorFlow themselves in the tests that need it so: of the start, and on the cluster."""
    if request.node.get_closest_marker("cold") or request.node.get_closest_marker("slurm"):
        monkeypatch.delenv(warm_start.SOCKET, raising=False)


@pytest.fixture(scope="session")
def command() -> Command:
    """Return a function that runs a command to its end, or interrupts it and fails when it takes too long.

    A hanging job is what these tests look for: it must fail a test, not stop all of them.
    """

    def run(
        *words: object, timeout: float = 500.0, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        with _start(*words, cwd=cwd, **environment) as process:
            try:
                output, errors = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                _end(process)
                pytest.fail(f"still running after {timeout:g} s: {process.args!r}")
            return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    return run


@pytest.fixture
def hpcnn_process() -> Iterator[Process]:
    """Return a function that starts ``hpcnn`` with the given words and leaves it running, until the test ends."""
    with contextlib.ExitStack() as processes:

        def run(*words: object, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
            process = processes.enter_context(_start(BIN / "hpcnn", *words, cwd=cwd, **environment))
            processes.callback(_end, process)
            return process

        yield run


@pytest.fixture(scope="session")
def hpcnn(command: Command) -> Command:
    """Return a function that runs ``hpcnn`` with the given words."""
    return lambda *words, **options: command(BIN / "hpcnn", *words, **options)


@pytest.fixture(scope="session")
def in_process() -> Command:
    """Return a function that calls ``hpcnn`` in this process, for words with which it starts no other and ends soon.

    Arguments and result as of ``hpcnn``. An error that hpcnn does not explain fails the test.
    """

    def run(*words: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(cwd or Path.cwd())
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["hpcnn", *map(str, words)])
            ended = CliRunner().invoke(main, sys.argv[1:], catch_exceptions=False)
        return subprocess.CompletedProcess(words, ended.exit_code, ended.stdout, ended.stderr)

    return run


@pytest.fixture(scope="session")
def mpirun(command: Command) -> Command:
    """Return a function that starts so many ranks of a command by mpirun itself, without a job script."""

    def run(ranks: int, *words: object, **options: str) -> subprocess.CompletedProcess[str]:
        of_open_mpi = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_plm": "isolated"}
        site = dataclasses.replace(load_site("local"), cores=0)  # so that ranks share the cores, however many there are
        _, *launcher = mpirun_command(site, Resources(ntasks=ranks), 1, mpi_of(site, os.environ))
        return command(MPIRUN, *launcher, *words, **of_open_mpi, **options)

    return run


def _start(*words: object, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    """Start a command, as a shell would, with these variables besides."""
    if warm_start.SOCKET in os.environ and "PYTHONPATH" in environment:
        environment["PYTHONPATH"] = f"{warm_start.SITE}{os.pathsep}{environment['PYTHONPATH']}"
    return subprocess.Popen(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupt a command that still runs, which then ends its ranks; kill it if it does not."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
