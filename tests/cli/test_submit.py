"""``hpcnn submit`` on this machine: the dry run is the real script, exit statuses, records, and interruption."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.resources import Resources

HPCNN = [sys.executable, "-m", "hpcnn"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty directory to work in, and no settings but its own."""
    for name in ("HPCNN_RUNS", "HPCNN_DATA", "HPCNN_RUN_DIR", "HPCNN_WORLD_SIZE", "HPCNN_STRATEGY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def submit(*words):
    return CliRunner().invoke(main, ["submit", *words])


def refused(*words):
    result = submit(*words)
    assert result.exit_code == 2, result.output
    assert not list(Path().rglob("*")), "something was written"
    return result.stderr


def python(code, *words):
    return ["--", sys.executable, "-c", code, *words]


def result_of(run_dir):
    return RunDir(run_dir).read_result()


class TestDryRun:
    @pytest.mark.parametrize(
        "words",
        [
            ["--name", "a 'b'", *python("print('é')", "--x", "$y")],
            ["--quiet", *python("import os; os.write(1, b'x')", os.fsdecode(b"\xff"), "line\nbreak")],
        ],
    )
    def test_it_prints_the_script_that_is_then_run(self, words, here):
        dry = submit("--dry-run", "--run-dir", "run", *words)
        assert dry.exit_code == 0
        assert dry.stderr == ""
        assert not list(here.iterdir())
        real = submit("--run-dir", "run", *words)
        assert real.exit_code == 0, real.output
        assert (here / "run" / "job.sh").read_bytes() == dry.stdout_bytes
        assert os.access(here / "run" / "job.sh", os.X_OK)

    def test_a_training(self, here):
        words = [
            "--ntasks",
            "2",
            "--model",
            "psc-cnn-dropout",
            "--model-arg",
            "d_rate_conv=0.3",
            "--learning-rate",
            "1e-5",
        ]
        script = submit("--dry-run", *words).stdout
        assert "    --strategy horovod \\\n    --model-arg d_rate_conv=0.3 \\\n    --learning-rate 1e-05\n" in script
        assert f"run_dir={here}/runs/psc-cnn-dropout/" in script
        assert not list(here.iterdir())

    def test_the_users_data_folder_goes_along(self, monkeypatch):
        monkeypatch.setenv("HPCNN_DATA", "/data/it's mine")
        assert "export HPCNN_DATA='/data/it'\"'\"'s mine'\n" in submit("--dry-run").stdout

    def test_the_users_site_is_used(self, tmp_path):
        (tmp_path / "config" / "sites").mkdir(parents=True)
        (tmp_path / "config" / "sites" / "local.toml").write_text('cores = 6\n[environment]\nNOTE = "a b"\n')
        script = submit("--dry-run", "--ntasks", "2").stdout
        assert "--map-by slot:PE=3 " in script
        assert "export NOTE='a b'\n" in script


class TestRefused:
    """Exit status 2, one message that names option, value and what is valid, and nothing written."""

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--batch-size", "0"], "--batch-size: 0 is not valid; expected at least 1."),
            (["--learning-rate", "-1"], "--learning-rate: -1.0 is not valid; expected more than 0."),
            (["--momentum", "1.5"], "--momentum: 1.5 is not valid; expected at most 1."),
            (["--cpus-per-task", "0"], "--cpus-per-task: 0 is not valid; expected at least 1."),
            (["--ntasks", "0"], "--ntasks: 0 is not valid; expected at least 1."),
            (["--model-arg", "d_rate"], "--model-arg: 'd_rate' is not valid; expected KEY=VALUE."),
            (["--site", "locla"], "--site: 'locla' is not known. Did you mean 'local'? Valid: "),
            (["--model", "scinet-cnn"], "--model: 'scinet-cnn' is not known. Did you mean 'scinet-cnn"),
            (["--data", "digit"], "--data: 'digit' is not known. Did you mean 'digits'? Valid: "),
            (["--strategy", "mirrored", "--ntasks", "2"], "--ntasks: 2 is not valid; expected 1 with --strategy mirr"),
            (["--devices", "2"], "--devices: 2 is not valid; expected no value unless --strategy is mirrored."),
            (["--nodes", "2"], "--ntasks: 1 is not valid; expected at least one task on each of the 2 nodes."),
            (["--nodes", "2", "--ntasks", "2"], "nodes: 2 is not valid; expected 1 at site local, which is this mach"),
            (["--nodes", "2", "--", "true"], "--ntasks: 1 is not valid; expected at least one task on each of the 2"),
            (
                ["--epochs", "3", "--model", "x", "--", "python", "x.py"],
                "--model, --epochs: options of training cannot go with a program of your own (after --)",
            ),
            (
                ["python", "x.py", "--epochs", "3"],
                "--epochs: options of training cannot go with a program of your own (after --)",
            ),
        ],
    )
    def test_by_hpcnn(self, words, message):
        assert refused(*words).startswith(f"Error: {message}")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--epochs", "x"], "Invalid value for '--epochs': 'x' is not a valid int"),
            (["--strategy", "horvod"], "Invalid value for '--strategy': 'horvod' is not one of 'serial', 'mirrored', "),
            (["--epoch", "3"], "No such option '--epoch'. (Did you mean one of: '--epochs', '--warmup-epochs'?)"),
        ],
    )
    def test_by_click(self, words, message):
        assert message in refused(*words)

    def test_a_finished_run_is_left_as_it_is(self, here):
        assert submit("--run-dir", "run", *python("raise SystemExit(3)")).exit_code == 3
        before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in here.rglob("*") if file.is_file()}
        again = submit("--run-dir", "run", *python("print(1)"))
        assert again.exit_code == 2
        assert "'" + str(here / "run") + "' already holds a finished run" in again.stderr
        after = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in here.rglob("*") if file.is_file()}
        assert after == before

    def test_a_run_directory_that_cannot_be_made(self, here):
        (here / "file").write_text("")
        result = submit("--run-dir", "file/run", *python("print(1)"))
        assert result.exit_code == 2
        assert result.stderr.endswith("cannot be made: Not a directory\n")


class TestProgram:
    def test_its_output_is_shown_and_logged(self, here):
        result = submit("--run-dir", "run", *python("print('hello'); import sys; print('oh', file=sys.stderr)"))
        assert result.exit_code == 0
        assert sorted(result.stdout.splitlines()) == ["hello", "oh"]
        assert result.stderr == f"run directory: {here / 'run'}\n"
        assert sorted((here / "run" / "log.out").read_text().splitlines()) == ["hello", "oh"]

    def test_quiet_logs_only(self, here):
        result = submit("--quiet", "--run-dir", "run", *python("print('hello')"))
        assert (result.exit_code, result.stdout) == (0, "")
        assert (here / "run" / "log.out").read_text() == "hello\n"

    def test_the_record_of_success(self, here):
        submit("--run-dir", "run", "--name", "mine", "--cpus-per-task", "1", *python("print(1)"))
        result = result_of("run")
        assert (result["status"], result["exit_code"], result["reason"]) == ("completed", 0, None)
        assert result["seconds_total"] >= 0
        spec = json.loads((here / "run" / "spec.json").read_text())
        assert (spec["schema"], spec["name"], spec["site"], spec["train"]) == (1, "mine", "local", None)
        asked = {key: value for key, value in spec["resources"].items() if value}
        assert asked == {"nodes": 1, "ntasks": 1, "cpus_per_task": 1, "requeue_limit": 10}
        assert set(spec["resources"]) == {field.name for field in dataclasses.fields(Resources)}
        assert spec["program"] == [sys.executable, "-c", "print(1)"]

    @pytest.mark.parametrize("code", [1, 2, 3, 127])
    def test_its_exit_status_is_the_commands(self, code):
        result = submit("--run-dir", "run", *python(f"raise SystemExit({code})"))
        assert result.exit_code == code
        assert result_of("run")["status"] == "failed"
        assert result_of("run")["exit_code"] == code
        assert f"Error: the job ended with exit status {code}: " in result.stderr
        assert f"log: {Path.cwd() / 'run' / 'log.out'}\n" in result.stderr

    def test_one_that_a_signal_killed(self):
        result = submit("--run-dir", "run", *python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
        assert result.exit_code == 137
        assert result_of("run")["status"] == "failed"
        assert (result_of("run")["exit_code"], result_of("run")["reason"]) == (137, "ended by SIGKILL")

    def test_a_script_that_is_killed_itself(self):
        result = submit("--run-dir", "run", *python("import os, signal; os.kill(os.getppid(), signal.SIGKILL)"))
        assert result.exit_code == 137
        assert result_of("run")["exit_code"] == 137

    def test_one_that_does_not_exist(self, here):
        result = submit("--run-dir", "run", "--", "no-such-program")
        assert result.exit_code == 127
        assert "no-such-program: command not found" in result.stdout
        assert result_of("run")["status"] == "failed"

    def test_it_gets_its_own_options_and_the_environment(self):
        code = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['HPCNN_RUN_DIR'], os.getcwd()]))"
        result = submit("--run-dir", "run", "--cpus-per-task", "1", *python(code, "--epochs", "3", "--dry-run"))
        here = str(Path.cwd())
        assert json.loads(result.stdout) == [["--epochs", "3", "--dry-run"], f"{here}/run", here]

    def test_it_has_no_standard_input(self):
        result = submit("--run-dir", "run", *python("import sys; print(repr(sys.stdin.read()))"))
        assert result.stdout == "''\n"

    def test_output_that_is_no_text(self, here):
        result = submit("--run-dir", "run", *python("import os; os.write(1, b'\\xff\\n')"))
        assert result.stdout == "\ufffd\n"

    def test_its_folder_is_named_after_the_script(self, here):
        (here / "my_script.py").write_text("print('ran')")
        result = submit("--", sys.executable, "my_script.py")
        assert result.exit_code == 0
        (folder,) = (here / "runs" / "my_script").iterdir()
        assert result.stderr == f"run directory: {folder}\n"

    def test_hpcnn_runs_says_where(self, here, monkeypatch):
        monkeypatch.setenv("HPCNN_RUNS", str(here / "elsewhere"))
        submit("--name", "x", *python("print(1)"))
        assert len(list((here / "elsewhere" / "x").iterdir())) == 1

    def test_what_an_unfinished_attempt_measured_is_cleared(self, here):
        run = RunDir(here / "run")
        run.create()
        run.failure(1).write_text('{"rank": 1, "reason": "old"}')
        run.epochs(0).write_text("{}\n")
        submit("--run-dir", "run", *python("raise SystemExit(4)"))
        assert "exit status 4" in result_of("run")["reason"]
        assert not run.epochs(0).exists()

    @pytest.mark.mpi
    def test_ranks(self):
        code = (
            "import os, sys; e = os.environ; "
            "sys.stdout.write(f\"rank {e['OMPI_COMM_WORLD_RANK']} {e['HPCNN_WORLD_SIZE']}\\n\")"
        )
        result = submit("--run-dir", "run", "--ntasks", "2", *python(code))
        assert result.exit_code == 0, result.output
        assert sorted(result.stdout.splitlines()) == ["rank 0 2", "rank 1 2"]

    @pytest.mark.mpi
    def test_a_rank_that_fails_ends_the_others(self):
        code = "import os, sys, time; os.environ['OMPI_COMM_WORLD_RANK'] == '1' and sys.exit(5); time.sleep(60)"
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
    except FileNotFoundError:
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
    monkeypatch.setenv("PYTHONPATH", str(here))
    result = submit("--run-dir", "run", "--model", "leaver:build", "--epochs", "1")
    assert result.exit_code == 1
    assert result_of("run")["status"] == "failed"
