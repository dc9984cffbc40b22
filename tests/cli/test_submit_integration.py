"""``hpcnn submit`` with real ranks and trainings, and interrupted by signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.submitting import python, result_of, submit

pytestmark = pytest.mark.usefixtures("here")
HPCNN = [sys.executable, "-m", "hpcnn"]


class TestRanks:
    @pytest.mark.mpi
    def test_their_output_is_shown(self):
        code = (
            "import os, sys; e = os.environ; "
            "rank = e.get('OMPI_COMM_WORLD_RANK') or e['PMI_RANK']; "
            "sys.stdout.write(f\"rank {rank} {e['HPCNN_WORLD_SIZE']}\\n\")"
        )
        result = submit("--run-dir", "run", "--ntasks", "2", *python(code))
        assert result.exit_code == 0, result.output
        note, *lines = sorted(result.stdout.splitlines())
        assert lines == ["rank 0 2", "rank 1 2"]
        assert note.startswith("Warning: none of the 2 ranks called hpcnn.init()")

    @pytest.mark.mpi
    def test_a_rank_that_fails_ends_the_others(self):
        code = (
            "import os, sys, time; rank = os.environ.get('OMPI_COMM_WORLD_RANK') or os.environ['PMI_RANK']; "
            "rank == '1' and sys.exit(5); time.sleep(60)"
        )
        begin = time.monotonic()
        result = submit("--run-dir", "run", "--ntasks", "2", *python(code))
        assert time.monotonic() - begin < 30
        assert result.exit_code == 5
        assert result_of("run")["exit_code"] == 5


# Writes its process number down, then works; TERM makes it stubborn.
WORKER = """
import os, pathlib, signal, sys, time
if 'stubborn' in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('started', flush=True)
pathlib.Path(f'pid-{os.getpid()}').touch()
time.sleep(120)
"""


def running(process_id):
    """Whether a process runs. One that has ended and that nobody waits for (a zombie) does not."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # gone before the open, or before the read
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def default_signals():
    """Undo what the shell that started pytest may have ignored (``nohup``, ``&``)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class TestInterrupted:
    def start(self, workers, *words, worker=()):
        """Start a submit and return it and the process numbers of its workers, once they all work."""
        command = [*HPCNN, "submit", "--run-dir", "run", *words, *python(WORKER, *worker)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=default_signals)
        deadline = time.monotonic() + 30
        while len(found := list(Path().glob("pid-*"))) < workers:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the workers did not start"
            time.sleep(0.02)
        return process, [int(file.name[4:]) for file in found]

    def check_ended(self, process, workers, seconds):
        begin = time.monotonic()
        _, errors = process.communicate(timeout=60)
        assert time.monotonic() - begin < seconds
        assert process.returncode == 130
        assert f"interrupted; what was written is in {Path.cwd() / 'run'}" in errors
        assert "Traceback" not in errors
        deadline = time.monotonic() + 5
        while any(map(running, workers)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not any(map(running, workers))
        assert (result_of("run")["status"], result_of("run")["exit_code"]) == ("interrupted", 130)
        assert "started" in Path("run/log.out").read_text()

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda how: how.name)
    def test_a_program(self, how):
        process, workers = self.start(1)
        process.send_signal(how)
        self.check_ended(process, workers, seconds=5)

    @pytest.mark.mpi
    def test_ranks(self):
        process, workers = self.start(2, "--ntasks", "2")
        process.send_signal(signal.SIGINT)
        self.check_ended(process, workers, seconds=10)

    def test_a_second_interrupt_is_not_asked_politely(self):
        process, workers = self.start(1, worker=("stubborn",))
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        self.check_ended(process, workers, seconds=5)

    def test_nohup_keeps_a_job_over_the_end_of_the_terminal(self):
        command = [*HPCNN, "submit", "--run-dir", "run", *python("import time; time.sleep(1)")]
        process = subprocess.Popen(["nohup", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not Path("run/log.out").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=30) == 0
        assert result_of("run")["status"] == "completed"


def test_a_training_that_ends_well_without_a_result_is_no_success(here, monkeypatch):
    """A model function that leaves Python with status 0 must not pass for a training."""
    (here / "leaver.py").write_text("def build(**keywords):\n    raise SystemExit(0)\n")
    monkeypatch.setenv("PYTHONPATH", str(here), prepend=os.pathsep)
    result = submit("--run-dir", "run", "--model", "leaver:build", "--epochs", "1")
    assert result.exit_code == 1
    assert result_of("run")["status"] == "failed"
