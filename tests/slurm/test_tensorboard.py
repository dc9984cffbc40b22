"""TensorBoard in a session on a compute node: what it prints leads there."""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.slurm.conftest import Cluster
from tests.slurm.terminal import hpcnn_at_terminal, interrupted
from tests.testbed import config

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def fetch(url: str) -> int | None:
    """Return the HTTP status, or None where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError:
        return None


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_node_serves_to_whom_it_says(cluster: Cluster, keep: Path, host: str) -> None:
    pytest.importorskip("tensorboard", reason="the server is TensorBoard's own (make venv)")
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    EventFileWriter(str(keep / "logs")).close()
    server = [sys.executable, "-m", "hpcnn", "tensorboard", str(keep), "--site", "testbed", "--host", host]
    with hpcnn_at_terminal(cluster, "interact", "--site", "testbed", "--", *server, seconds=90) as child:
        child.expect(r"on c(\d), \S+ port (\d+)\.")
        assert child.match
        number, port = child.match.groups()
        child.expect(r"\r\n  (ssh [^\r]+)\r\nand open\r\n  http://localhost:6006/([\w-]+)/\r\n")
        ssh, secret = child.match.groups()
        if host == "0.0.0.0":
            assert re.fullmatch(rf"ssh -N -L 6006:c{number}:{port} \w+@\S+", ssh)
        else:
            assert re.fullmatch(rf"ssh -N -L 6006:127\.0\.0\.1:{port} -J \w+@\S+ \w+@c{number}", ssh)
        address = f"http://{config.NETWORK}.{number}:{port}"
        expected = (200, 404) if host == "0.0.0.0" else (None, None)
        assert (fetch(f"{address}/{secret}/"), fetch(f"{address}/")) == expected
        child.expect("keep the address to yourself")
        assert interrupted(child) == 0
