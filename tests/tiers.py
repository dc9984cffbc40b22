"""What a test takes, told by where it stands: which tests are quick, and which may run beside each other.

``make check`` runs the tests without the markers ``integration`` and ``slow``, ``make test`` those without ``long``.
A file is slow as a whole if it computed for more than some seconds when that was last measured (tests/seconds.py).
``pytest -n 2 --dist loadgroup`` gives a group of tests to one worker: ranks of MPI would slow each other down, the
testbed is one cluster, and a training that several tests look at is done once.
"""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path

import pytest

from tests.long_tests import LONG

TESTS = Path(__file__).parent
# Folders whose tests start trainings, run the documents' commands or need the cluster, whatever a file is called.
INTEGRATION = ("benchmarks", "docs", "slurm")
SLOW_FILES = {line.split()[1] for line in (TESTS / "slow_files.txt").read_text(encoding="utf-8").splitlines()}
# Begun first, in this order: they wait more than they compute, or take longest; `make lint` says early what is wrong.
FIRST = ("slurm", "mpi", "test_lint_integration.py")
# The niceness of groups: ranks of MPI are the longest chain of tests that cannot run beside each other, and jobs of the
# cluster have a minute.
NICENESS = {"slurm": 0, "mpi": 5}
OTHERS = 10
# The trainings of tests/kept_networks.py, done once for all tests that look at them.
NETWORKS = {"digits_run", "digits_network", "own_run", "train_kept"}


def assign(items: list[pytest.Item]) -> None:
    """Mark each test by its tier and its group, and put the groups that take longest first."""
    groups = {item: group_of(item) for item in items}
    for item, group in groups.items():
        path = _place(item.path)
        if path.parts[0] in INTEGRATION or path.stem.endswith("_integration"):
            item.add_marker(pytest.mark.integration)
        if f"tests/{path.as_posix()}" in SLOW_FILES:
            item.add_marker(pytest.mark.slow)
        if item.nodeid in LONG:
            item.add_marker(pytest.mark.long)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: _turn(groups[item]))


def check_grouped(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Raise UsageError where pytest-xdist takes no notice of the groups: tests of ranks would disturb each other."""
    if config.getoption("loadgroup", False) and not all("@" in item.nodeid for item in items):
        raise pytest.UsageError(
            "this pytest-xdist does not group tests under this pytest: constraints.txt has a pair that does"
        )


def group_of(item: pytest.Item) -> str:
    """Return the group of a test: what it must not run beside, or else its file, whose fixtures it shares."""
    for group in ("slurm", "mpi"):
        if item.get_closest_marker(group):
            return group
    if NETWORKS & set(getattr(item, "fixturenames", ())):
        return "networks"
    if item.get_closest_marker("apart"):
        return item.nodeid.replace("[", "(").replace("]", ")")  # pytest-xdist looks for the last bracket
    return _place(item.path).as_posix()


def give_way(item: pytest.Item) -> None:
    """Give this process the priority of the test's group. Only root can raise it again."""
    if os.geteuid() == 0 and "PYTEST_XDIST_WORKER" in os.environ:
        with contextlib.suppress(PermissionError):  # root of a container often cannot raise it
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS.get(group_of(item), OTHERS))


@functools.cache
def _place(file: Path) -> Path:
    return file.relative_to(TESTS)


def _turn(group: str) -> int:
    """Return when a group is begun. Sorting keeps the order of the others."""
    return FIRST.index(group) if group in FIRST else len(FIRST)
