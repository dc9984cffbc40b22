"""hpcnn at a real terminal on the login node: sessions, and servers that run until Ctrl-C."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import pexpect

from tests.slurm.conftest import Cluster

# Addresses are longer than a terminal of 80 columns.
WIDE = (24, 300)


@contextlib.contextmanager
def hpcnn_at_terminal(
    cluster: Cluster, *words: str, seconds: float = 60, **variables: str
) -> Iterator[pexpect.spawn[str]]:
    """Call hpcnn at a terminal of its own, which is closed at the end of the block, and hpcnn with it."""
    child = pexpect.spawn(
        *(sys.executable, ["-m", "hpcnn", *words]),
        cwd=str(cluster.shared),
        env={**cluster.environment, **variables},  # type: ignore[arg-type]
        encoding="utf-8",
        timeout=seconds,
        dimensions=WIDE,
    )
    try:
        yield child
    finally:
        child.close(force=True)


def interrupted(child: pexpect.spawn[str]) -> int | None:
    """Type Ctrl-C, wait for the end, and return the exit status."""
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus
