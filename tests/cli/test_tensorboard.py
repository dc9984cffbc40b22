"""``hpcnn tensorboard``: the real server, who reaches it, and what it is asked for without logs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("tensorboard", reason="the server is TensorBoard's own (make venv)")

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Process = Callable[..., "subprocess.Popen[str]"]


def write_logs(folder: Path) -> Path:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    EventFileWriter(str(folder)).close()
    return folder


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Return a run directory as submit and train leave it, as far as logs go."""
    path = tmp_path / "study" / "one"
    write_logs(path / "tensorboard" / "train")
    (path / "spec.json").write_text(json.dumps({"site": "narval"}))
    (path / "job.json").write_text(json.dumps({"job_id": "4711", "site": "narval"}))
    return path


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def read_until(process: subprocess.Popen[str], end: str) -> str:
    """Return what a process has printed when it has printed ``end``."""
    assert process.stdout
    text = ""
    for line in process.stdout:
        text += line
        if end in line:
            return text
    assert process.stderr
    pytest.fail(f"it ended with {process.wait()}: {text}{process.stderr.read()}")


def listening(pid: int) -> list[tuple[str, int]]:
    """Return address and port of every TCP socket on which a process listens (proc(5), /proc/net/tcp)."""
    sockets = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the process has closed it since it was listed
            sockets.add(str(file.readlink()))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                address, port = fields[1].split(":")
                found.append((address, int(port, 16)))
    return found


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()


@pytest.mark.slow
@pytest.mark.cold  # what others see of the process is looked at, not of a stand-in
def test_the_server_answers_on_this_machine_alone_and_only_below_its_secret(
    hpcnn_process: Process, run_dir: Path, tmp_path: Path
) -> None:
    process = hpcnn_process("tensorboard", run_dir, "--site", "local", TMPDIR=str(tmp_path))
    printed = read_until(process, "keep the address to yourself")
    found = re.search(r"^  (http://localhost:(\d+)/([\w-]{32})/)$", printed, re.MULTILINE)
    assert found, printed
    url, port, secret = found.group(1), int(found.group(2)), found.group(3)

    assert status(url) == 200
    with urllib.request.urlopen(f"{url}data/runs", timeout=30) as answer:
        # the thread that reads the logs starts together with the server
        end, runs = time.monotonic() + 20, json.load(answer)
    while runs != ["train"] and time.monotonic() < end:
        time.sleep(0.2)
        with urllib.request.urlopen(f"{url}data/runs", timeout=30) as answer:
            runs = json.load(answer)
    assert runs == ["train"]
    for path in ("", "data/runs", "SECRET/", secret[:-1], f"{secret}x/"):
        assert status(f"http://127.0.0.1:{port}/{path}") == 404, path

    assert listening(process.pid) == [("0100007F", port)]  # 127.0.0.1, byte by byte from the right
    assert not children(process.pid)
    # what other users can read of a process: its command line, and files in the folder of temporary files
    assert secret not in Path(f"/proc/{process.pid}/cmdline").read_text()
    assert not [file for file in tmp_path.rglob("*.info") if secret in file.read_text()]
    assert secret not in seen_by_another_user(process.pid)
    for path in ("", "..", "//", "data/plugin/scalars", "%2e%2e/"):
        assert secret not in answered(f"http://127.0.0.1:{port}/{path}")

    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    with pytest.raises(urllib.error.URLError):
        status(url)


def seen_by_another_user(pid: int) -> str:
    """Return what another user sees of a process: in the list of processes, in /proc, and in folders of its files."""
    looks = (
        *("ps axeww -o user,args", f"cat /proc/{pid}/cmdline /proc/{pid}/environ /proc/{pid}/stat /proc/{pid}/status"),
        *(f"ls -l /proc/{pid}/fd /proc/{pid}/cwd /proc/{pid}/map_files", f"cat /proc/{pid}/task/*/comm"),
        "cat /proc/net/tcp /proc/net/unix",
        "find /tmp /var/tmp /dev/shm -maxdepth 3 -path '*tensorboard*' -type f -exec cat {} +",
    )
    another = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    seen = subprocess.run(
        [*another, "sh", "-c", f"id -u; {'; '.join(looks)}"],
        capture_output=True,
        check=False,
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        timeout=120,
    )
    text = seen.stdout.decode(errors="replace")
    if another:
        assert text.startswith("65534\n")
        assert "Permission denied" in seen.stderr.decode(errors="replace")  # its environment, which has the address
    return text if another else ""


def answered(url: str) -> str:
    """Return all that a server answers: its headers and its text."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return f"{answer.headers}{answer.read().decode(errors='replace')}"
    except urllib.error.HTTPError as error:
        return f"{error.headers}{error.read().decode(errors='replace')}"


@pytest.mark.slow
def test_a_port_in_use_is_said(hpcnn: Command, run_dir: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = hpcnn("tensorboard", run_dir, "--port", port)
    assert ended.returncode == 2
    assert f"Error: --host, --port: TensorBoard could not bind to port {port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def logdir(printed: str) -> str:
    found = re.match(r"tensorboard --logdir (\S+) --host", printed)
    assert found, printed
    return found.group(1)


def test_a_run_a_study_and_a_job_have_their_own_folders(in_process: Command, run_dir: Path) -> None:
    runs = str(run_dir.parent)
    for target, folder in ((run_dir, run_dir / "tensorboard"), (runs, runs), ("4711", run_dir / "tensorboard")):
        shown = in_process("tensorboard", target, "--dry-run", HPCNN_RUNS=runs)
        assert shown.returncode == 0, shown.stderr
        assert logdir(shown.stdout) == str(folder)
        assert "narval.alliancecan.ca" in shown.stdout  # the site of the run itself
        assert "Site narval: Start TensorBoard in the job" in shown.stdout


def test_in_a_job_the_tunnel_ends_on_the_node(in_process: Command, run_dir: Path) -> None:
    shown = in_process(
        "tensorboard", run_dir, "--site", "bridges2", "--port", "7007", "--dry-run", SLURMD_NODENAME="r001"
    )
    assert re.search(
        r"^  ssh -N -L 6006:127\.0\.0\.1:7007 -J \w+@bridges2\.psc\.edu \w+@\S+\.ib\.bridges2\.psc\.edu$",
        shown.stdout,
        re.MULTILINE,
    )
    assert "--host 0.0.0.0" in shown.stdout


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("empty", "there are no TensorBoard logs in .*--tensorboard"),
        ("nowhere", "RUN: there is no file or folder 'nowhere'; expected a run directory"),
        ("12", "job 12: none of the runs here"),
    ],
)
def test_without_logs_it_says_how_to_get_them(in_process: Command, tmp_path: Path, target: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    ended = in_process("tensorboard", target, cwd=tmp_path, HPCNN_RUNS=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.match(rf"Error: .*{message}", ended.stderr)


def test_an_unknown_site_is_an_error(in_process: Command, run_dir: Path) -> None:
    ended = in_process("tensorboard", run_dir, "--site", "narvall")
    assert ended.returncode == 2
    assert "Did you mean 'narval'?" in ended.stderr
