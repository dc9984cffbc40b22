"""JupyterLab in a session on a compute node, in a container too: who gets in, and `hpcnn interact` from inside."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from hpcnn.jupyter import server as jupyter_server
from tests.cli.test_tensorboard import seen_by_another_user
from tests.needs import needs
from tests.slurm.conftest import Cluster, SmallImage
from tests.slurm.terminal import hpcnn_at_terminal, interrupted
from tests.slurm.test_tensorboard import fetch
from tests.testbed import config, image

needs("jupyterlab", "the server is Jupyter's own (make venv)")

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

# What a user of the node does: asks without and with the token, and types lines in a terminal of JupyterLab.
ON_THE_NODE = """
import json, sys
from tests.cli.test_notebook import answer, typed_in_a_terminal

port, token, *lines = sys.argv[1:]
url = f"http://127.0.0.1:{port}/api/contents"
said = [typed_in_a_terminal(int(port), token, line + "; echo the-e'n'd", "the-end") for line in lines]
print("SEEN" + json.dumps({"without": answer(url)[0], "with": answer(url, token)[0], "lines": said}))
"""


@contextlib.contextmanager
def notebook(cluster: Cluster, *words: str) -> Iterator[tuple[int, str, str]]:
    """Open a session with JupyterLab; yield the number of its node, its port and its token. Ctrl-C must end it well."""
    call = ("notebook", "--site", "testbed", "--cpus-per-task", "1", *words)
    with hpcnn_at_terminal(cluster, *call, seconds=120, SHELL="/bin/bash") as child:
        child.expect(r"JupyterLab shows (\S+), on c(\d), 127\.0\.0\.1 port (\d+)\.")
        assert child.match
        folder, number, port = child.match.groups()
        assert folder == str(cluster.shared)
        child.expect(
            rf"\r\n  ssh -N -L 8888:127\.0\.0\.1:{port} -J \w+@\S+ \w+@c{number}\r\nand open\r\n"
            r"  http://localhost:8888/lab\?token=([\w-]{32})\r\n"
        )
        token = child.match.group(1)
        child.expect("keep it to yourself")
        yield int(number), port, token
        assert interrupted(child) in (0, 130), child.before


def seen_by_others(token: str) -> bool:
    """Return whether another user sees the token: in the list of processes, in /proc, or in files."""
    found = subprocess.run(["pgrep", "-f", jupyter_server.__file__], capture_output=True, text=True, check=True)
    return any(token in seen_by_another_user(int(pid)) for pid in found.stdout.split())


def on_the_node(cluster: Cluster, node: int, port: str, token: str, *lines: str) -> dict[str, Any]:
    """Return what a user of the node sees."""
    inside = ["nsenter", f"--net=/run/netns/hpcnn-c{node}", sys.executable, "-c", ON_THE_NODE, port, token, *lines]
    done = subprocess.run(
        inside, env=cluster.environment, cwd=image.ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.partition("SEEN")[2])
    return seen


def test_it_serves_on_a_node_and_a_session_is_opened_from_inside(cluster: Cluster) -> None:
    with notebook(cluster) as (node, port, token):
        assert fetch(f"http://{config.NETWORK}.{node}:{port}/lab") is None  # nobody but users of the node
        another = (
            f"{sys.executable} -m hpcnn interact --site testbed --cpus-per-task 1 -- sh -c 'echo is-on:$(hostname)'"
        )
        seen = on_the_node(cluster, node, port, token, "echo job-$SLURM_JOB_ID on $(hostname)", another)
        assert (seen["without"], seen["with"]) == (403, 200)
        here, elsewhere = seen["lines"]
        job = cluster.slurm("squeue", "--noheader", "--format=%i").split()
        assert f"job-{job[0]} on c{node}" in here
        assert any(f"is-on:c{number}" in elsewhere for number in (1, 2, 3)), elsewhere
        assert token not in cluster.slurm("squeue", "--noheader", "--Format=Command:1000,Name:100,Comment:100")
        assert not seen_by_others(token)


def test_it_serves_in_a_container(cluster: Cluster, small_image: SmallImage) -> None:
    binds = [word for folder in image.binds() for word in ("--bind", folder)]
    path = f"export PATH={small_image.program.parent}{os.pathsep}$PATH"  # the session's login shell has its own
    with notebook(cluster, "--container", str(small_image.file), *binds, "--setup", path) as (node, port, token):
        line = "hpcnn interact --site local -- sh -c 'echo $APPTAINER_NAME on $(hostname) in $(pwd)'"
        seen = on_the_node(cluster, node, port, token, line)
        assert (seen["without"], seen["with"]) == (403, 200)
        assert f"{small_image.file.name} on c{node} in {cluster.shared}" in seen["lines"][0]
        assert not seen_by_others(token)
