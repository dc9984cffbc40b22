"""``hpcnn submit`` on this machine: the dry run is the real script, exit statuses, records."""

import dataclasses
import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.command_line import options_of
from hpcnn.specs.resources import Resources
from tests.cli.submitting import python, result_of, submit

pytestmark = pytest.mark.usefixtures("here")


def refused(*words):
    result = submit(*words)
    assert result.exit_code == 2, result.output
    assert not list(Path().rglob("*")), "something was written"
    return result.stderr


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


class TestStatedOfAProgram:
    """What hpcnn cannot see of a program, and is told: the job exports it, and the record keeps it."""

    def test_its_work(self, here):
        words = ("--ntasks", "2", "--batch-size", "64", "--samples", "1000")
        script = submit("--dry-run", *words, "--", "python", "x.py").stdout
        assert "export HPCNN_BATCH_SIZE=64\nexport HPCNN_SAMPLES=1000\n" in script
        assert "as-worker" not in script
        submit("--run-dir", "run", "--batch-size", "64", "--independent", *python("print(1)"))
        spec = json.loads((here / "run" / "spec.json").read_text())
        assert spec["stated"] == {"strategy": None, "independent": True, "batch_size": 64, "samples": None}

    def test_its_strategy(self):
        script = submit("--dry-run", "--ntasks", "2", "--strategy", "multiworker", "--", "python", "x.py").stdout
        assert "export HPCNN_STRATEGY=multiworker\n" in script
        assert 'HPCNN_RENDEZVOUS=$(mktemp -d "$run_dir/workers-XXXXXXXX")' in script
        assert "hpcnn record as-worker -- python x.py\n" in " ".join(script.split(" "))


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
            (["--site", "locla"], "--site: 'locla' is not known. Did you mean 'local'? `hpcnn sites list` lists"),
            (["--model", "scinet-cnn"], "--model: 'scinet-cnn' is not known. Did you mean 'scinet-cnn"),
            (["--data", "digit"], "--data: 'digit' is not known. Did you mean 'digits'? `hpcnn data list` lists"),
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
                ["--strategy", "mirrored", "--", "true"],
                "--strategy: 'mirrored' is not known. Valid: serial, horovod, mu",
            ),
            (["--strategy", "horvod"], "--strategy: 'horvod' is not known. Did you mean 'horovod'? Valid: serial, "),
            (["--epoch", "3"], "option: '--epoch' is not known. Did you mean '--epochs'? `"),
            (["--data", "no.npz"], "--data: there is no file or folder 'no.npz'; expected an .npz file."),
            (["--independent"], "--independent: it goes with a program of your own (after --)"),
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
        for words, message in (
            (["no-such-program"], "'no-such-program' is not there: no such command or file"),
            (["./x.sh"], "'./x.sh' is not there: no such command or file"),
            (["python", "x.py"], f"there is no file 'x.py' in {here}"),
        ):
            assert refused("--", *words).splitlines() == [f"Error: program: {message}"]
        assert submit("--dry-run", "--", "python", "x.py").exit_code == 0  # a script may be written later
        assert submit("--", "sh", "-c", "exit 127").exit_code == 127

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


class TestFlagsOfSbatch:
    @pytest.mark.parametrize("word", ["exclusive", "exclusive="])
    def test_on_the_command_line(self, word):
        result = submit("--site", "generic-slurm", "--sbatch-option", word, "--dry-run", "--", "true")
        assert "#SBATCH --exclusive\n" in result.stdout

    def test_in_a_study(self, here):
        (here / "mine.toml").write_text(
            'name = "mine"\nprogram = ["true"]\n[resources]\nsbatch_options = {exclusive = true, hold = false}\n'
        )
        words = ["study", "submit", "mine.toml", "--site", "generic-slurm", "--scripts"]
        result = CliRunner().invoke(main, words)
        assert result.stdout.count("#SBATCH --exclusive\n") == 2, result.output
        assert "--hold" not in result.stdout

    def test_are_written_as_they_are_read(self):
        given = ["--sbatch-option", "exclusive", "--sbatch-option", "comment=x"]
        assert options_of(Resources(sbatch_options={"exclusive": True, "comment": "x"})) == given

    @pytest.mark.parametrize("word", ["", "=x"])
    def test_a_key_is_needed(self, word):
        result = submit("--site", "generic-slurm", "--sbatch-option", word, "--dry-run", "--", "true")
        assert (result.exit_code, "--sbatch-option" in result.stderr) == (2, True)
