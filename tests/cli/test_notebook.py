"""``hpcnn notebook``: the real JupyterLab, who gets in, what runs inside it, and how it comes onto a node."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_tensorboard import listening, read_until, seen_by_another_user
from tests.needs import needs

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Process = Callable[..., "subprocess.Popen[str]"]


def answer(url: str, token: str = "", data: bytes | None = None) -> tuple[int, str]:
    """Return the status and the text with which a server answers a request."""
    headers = {"Authorization": f"token {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as got:
            return got.status, got.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def typed_in_a_terminal(port: int, token: str, line: str, until: str) -> str:
    """Type a line in a new terminal of JupyterLab; return what it prints up to ``until``."""
    websocket = pytest.importorskip("websocket")
    status, made = answer(f"http://127.0.0.1:{port}/api/terminals", token, b"")
    assert status == 200, made
    url = f"ws://127.0.0.1:{port}/terminals/websocket/{json.loads(made)['name']}?token={token}"
    connection = websocket.create_connection(url, timeout=30)
    try:
        connection.send(json.dumps(["stdin", f"{line}\r"]))
        text = ""
        while until not in text:
            kind, *rest = json.loads(connection.recv())
            text += rest[0] if kind == "stdout" else ""
        return text
    finally:
        connection.close()


@pytest.mark.slow
def test_only_the_token_gets_in_and_nobody_else_sees_it(hpcnn_process: Process, tmp_path: Path) -> None:
    needs("jupyterlab", "the server is Jupyter's own (make venv)")
    home = tmp_path / "home"
    own = home / ".jupyter" / "jupyter_server_config.py"
    own.parent.mkdir(parents=True)
    own.write_text("c.ServerApp.ip = '0.0.0.0'\nc.IdentityProvider.token = ''\n")  # of a user's own computer
    process = hpcnn_process("notebook", "--site", "local", cwd=tmp_path, HOME=str(home), TMPDIR=str(tmp_path))
    printed = read_until(process, "keep it to yourself")
    found = re.search(r"^  http://localhost:(\d+)/lab\?token=([\w-]{32})$", printed, re.MULTILINE)
    assert found, printed
    port, token = int(found.group(1)), found.group(2)
    assert re.search(rf"^  ssh -N -L 8888:127\.0\.0\.1:{port} ", printed, re.MULTILINE)
    url = f"http://127.0.0.1:{port}"

    assert answer(f"{url}/api/contents", token)[0] == 200
    assert "JupyterLab" in answer(f"{url}/lab?token={token}")[1]
    for path in ("/api/contents", "/api/terminals", f"/api/kernels?token={token[:-1]}"):
        assert answer(f"{url}{path}")[0] == 403, path
    assert token not in answer(f"{url}/lab")[1]
    assert ("0100007F", port) in listening(process.pid)
    assert {address for address, _ in listening(process.pid)} == {"0100007F"}

    assert token not in Path(f"/proc/{process.pid}/cmdline").read_text()
    assert token not in seen_by_another_user(process.pid)
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and token in file.read_text(errors="replace")]
    # nor is it in the environment of what runs inside, which notebooks and records may show
    line = "hpcnn interact --site local -- sh -c 'env; pwd; echo in-$((40+2))'"
    inside = typed_in_a_terminal(port, token, line, "in-42")
    assert str(tmp_path) in inside
    assert f"{Path(sys.executable).parent}:" in inside
    assert token not in inside

    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    assert token not in f"{process.stderr.read() if process.stderr else ''}"


def test_without_jupyterlab_it_says_what_to_install(in_process: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jupyterlab" else found(name))
    for site in ("local", "trillium"):
        ended = in_process("notebook", "--site", site)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "JupyterLab is not in this environment: pip install jupyterlab, or 'hpcnn[notebook]'" in ended.stderr


def test_an_image_without_jupyterlab_is_named(command: Command, tmp_path: Path) -> None:
    from hpcnn.jupyter import server

    request = {"token": "t", "folder": str(tmp_path), "port": 0, "message": "", "missing": "not in x.sif"}
    python = Path(sys.executable).resolve()  # outside the environment, as in an image with nothing in it
    ended = command(python, "-I", server.__file__, **{server.VARIABLE: json.dumps(request)})
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", "Error: not in x.sif\n")


def test_a_port_in_use_is_said(command: Command, tmp_path: Path) -> None:
    import socket

    needs("jupyterlab", "the server is Jupyter's own (make venv)")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = command(Path(sys.executable).parent / "hpcnn", "notebook", "--site", "local", "--port", str(port))
    assert ended.returncode == 2
    assert ended.stderr == f"Error: --port: {port}: Address already in use\n"


def test_on_a_cluster_the_session_says_the_same_words_again(in_process: Command, tmp_path: Path) -> None:
    words = ("--gpus-per-node", "1", "--container", "it's.sif", "--env", "A=b c", "--port", "7007", "--dry-run")
    shown = in_process("notebook", "--site", "bridges2", *words, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    opened = shlex.split(shown.stdout)
    assert opened[:3] == ["salloc", "-J", "Interact"]
    assert "--gres=gpu:v100-32:1" in opened
    said = shlex.split(opened[-1].rpartition("exec ")[2])
    assert Path(said[0]).name == "hpcnn"
    assert said[1:] == ["notebook", "--here", "--site", "bridges2", "--site", "bridges2", *words]


def test_on_the_node_the_container_runs_the_server_and_the_tunnel_ends_there(
    in_process: Command, tmp_path: Path
) -> None:
    words = ("--here", "--gpus-per-node", "1", "--container", "it's.sif", "--port", "7007", "--dry-run")
    shown = in_process("notebook", "--site", "bridges2", *words, cwd=tmp_path, SLURMD_NODENAME="r001")
    assert shown.returncode == 0, shown.stderr
    started, _, message = shown.stdout.partition("\n")
    run = shlex.split(shlex.split(started)[-1].rpartition(" && exec ")[2])
    assert run[run.index("singularity") :][:3] == ["singularity", "exec", "--nv"]
    assert run[-3:-1] == ["it's.sif", "python3"]
    assert str(Path(run[-1]).parent) in run  # bound, so that the image need not have hpcnn
    assert re.search(
        r"^  ssh -N -L 8888:127\.0\.0\.1:7007 -J \w+@bridges2\.psc\.edu \w+@\S+\.ib\.bridges2\.psc\.edu$",
        message,
        re.MULTILINE,
    )
    assert "http://localhost:8888/lab?token=TOKEN" in message
