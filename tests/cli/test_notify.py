"""Who is told of the end of a run: Slurm's mail, and the webhook of the user's file, whose address nothing shows."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.conftest import Command

SECRET = "T0-hook-B9"


class Hook:
    """A server that keeps what it is sent, and answers with a status of one's choice."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, object]]] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append((self.path, json.loads(body)))
                self.send_response(hook.status)
                if hook.status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def do_GET(self) -> None:
                hook.got.append((f"GET {self.path}", {}))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/{SECRET}"


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    found = Hook()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    configure(tmp_path, found.url)
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def configure(folder: Path, url: str, mode: int = 0o600) -> None:
    file = folder / "config" / "config.toml"
    file.write_text(f'webhook = "{url}"\n')
    file.chmod(mode)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the directory of a run whose launcher has ended."""
    path = tmp_path / "runs" / "mine"
    path.mkdir(parents=True)
    (path / "job.json").write_text('{"job_id": "4711"}')
    asked(path)
    return path


def asked(path: Path, **resources: object) -> None:
    (path / "spec.json").write_text(json.dumps({"name": "mine", "program": ["true"], "resources": resources}))


def finish(in_process: Command, run: Path, code: int = 0) -> str:
    (run / "result.json").unlink(missing_ok=True)
    ended = in_process("record", "finish", "--run-dir", run, "--exit-code", code, "--seconds", 3)
    assert ended.returncode == 0, ended.stderr
    everything = [file.read_text() for file in run.rglob("*") if file.is_file()]
    assert SECRET not in "".join([*everything, ended.stdout, ended.stderr])
    return str(ended.stderr)


def test_the_webhook_is_told_once_of_an_end(in_process: Command, hook: Hook, run: Path) -> None:
    assert finish(in_process, run) == ""
    ((path, sent),) = hook.got
    assert path == f"/{SECRET}"
    assert sent["text"] == f"mine: completed, job 4711, {run}"
    assert (sent["status"], sent["job_id"], sent["seconds"]) == ("completed", "4711", 3.0)


@pytest.mark.parametrize(
    ("resources", "code", "told"),
    [
        ({"notify": "none"}, 1, 0),
        ({"notify": "fail"}, 0, 0),
        ({"notify": "fail"}, 1, 1),
        ({"requeue": True}, 75, 0),  # it goes on
        ({}, 75, 1),
    ],
)
def test_notify_chooses_the_ends(
    in_process: Command, hook: Hook, run: Path, resources: dict[str, object], code: int, told: int
) -> None:
    asked(run, **resources)
    finish(in_process, run, code)
    assert len(hook.got) == told


@pytest.mark.parametrize("status", [404, 500, 302])
def test_a_webhook_that_refuses_is_a_warning(in_process: Command, hook: Hook, run: Path, status: int) -> None:
    hook.status = status
    said = finish(in_process, run)
    assert said == f"Warning: the webhook of config.toml was not told of the end: HTTP status {status}\n"
    assert len(hook.got) == 1  # no second request, nor one where a redirection leads
    assert json.loads((run / "result.json").read_text())["status"] == "completed"


def test_a_webhook_that_is_not_there_is_a_warning(in_process: Command, hook: Hook, run: Path, tmp_path: Path) -> None:
    configure(tmp_path, f"http://127.0.0.1:9/{SECRET}")
    assert finish(in_process, run).endswith("not told of the end: connection refused\n")
    configure(tmp_path, f"http://127.0.0.1:x/{SECRET}")
    assert "Warning: the webhook of config.toml was not told of the end: " in finish(in_process, run)


def test_a_webhook_that_does_not_answer_is_a_warning(
    in_process: Command, hook: Hook, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    from hpcnn.jobs import notify

    monkeypatch.setattr(notify, "_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        configure(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}/{SECRET}")
        assert "Warning: the webhook of config.toml was not told of the end: " in finish(in_process, run)


def test_a_file_that_others_read_holds_no_webhook(in_process: Command, hook: Hook, run: Path, tmp_path: Path) -> None:
    configure(tmp_path, hook.url, 0o644)
    said = finish(in_process, run)
    assert "Warning: the webhook of config.toml is not told of the end: " in said
    assert "chmod 600" in said
    assert not hook.got


def test_a_job_that_died_is_told_by_who_waits_for_it(hook: Hook, run: Path) -> None:
    from hpcnn.jobs.watch import record_end
    from hpcnn.rundir.layout import RunDir
    from hpcnn.scheduler.api import JobState

    record_end(RunDir(run), JobState("4711", "failed", "NODE_FAIL", exit_code=1), pytest.fail)
    assert [sent["status"] for _, sent in hook.got] == ["failed"]


def test_config_shows_that_there_is_one_and_not_which(in_process: Command, hook: Hook) -> None:
    for form in ("table", "json"):
        shown = in_process("config", "--format", form)
        assert shown.returncode == 0, shown.stderr
        assert "webhook" in shown.stdout
        assert "not shown" in shown.stdout
        assert SECRET not in shown.stdout


@pytest.mark.parametrize("value", [f'"ftp://x/{SECRET}"', f'["{SECRET}"]', f'"https:///{SECRET}"'])
def test_a_wrong_one_is_an_error_that_does_not_show_it(
    in_process: Command, hook: Hook, tmp_path: Path, value: str
) -> None:
    (tmp_path / "config" / "config.toml").write_text(f"webhook = {value}\n")
    ended = in_process("config")
    assert ended.returncode == 2
    assert "webhook: the value (not shown) is not valid" in ended.stderr
    assert SECRET not in ended.stderr


def test_a_projects_file_holds_none(in_process: Command, hook: Hook, tmp_path: Path) -> None:
    (tmp_path / "hpcnn.toml").write_text(f'webhook = "{hook.url}"\n')
    ended = in_process("config", cwd=tmp_path)
    assert ended.returncode == 2
    assert "hpcnn.toml: webhook: it is a secret" in ended.stderr
    assert SECRET not in ended.stderr


@pytest.mark.parametrize(
    ("words", "mail"),
    [
        (("--mail-user", "me@example.org"), "END,FAIL"),
        (("--mail-user", "me@example.org", "--notify", "fail"), "FAIL"),
        (("--mail-user", "me@example.org", "--notify", "none"), None),
        (("--mail-user", "me@example.org", "--mail-type", "BEGIN"), "BEGIN"),
        ((), None),
    ],
)
def test_slurm_writes_mail(in_process: Command, tmp_path: Path, words: tuple[str, ...], mail: str | None) -> None:
    shown = in_process("submit", "--site", "generic-slurm", *words, "--dry-run", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    found = [line.removeprefix("#SBATCH ") for line in shown.stdout.splitlines() if line.startswith("#SBATCH --mail")]
    assert found == ([] if mail is None else ["--mail-user=me@example.org", f"--mail-type={mail}"])


def test_a_site_names_the_address(in_process: Command, tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "ours.toml").write_text('mail_user = "lab@example.org"\nmail_type = "FAIL"\n')
    shown = in_process("submit", "--site", "ours", "--dry-run", cwd=tmp_path, HPCNN_CONFIG=str(tmp_path))
    assert "#SBATCH --mail-user=lab@example.org\n#SBATCH --mail-type=FAIL\n" in shown.stdout
    ended = in_process("submit", "--site", "generic-slurm", "--mail-type", "END", "--dry-run")
    assert (ended.returncode, ended.stderr) == (
        2,
        "Error: --mail-type: it needs --mail-user, the address to which Slurm writes\n",
    )
