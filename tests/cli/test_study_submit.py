"""``hpcnn study submit`` and ``hpcnn study status`` without a cluster: dry runs, refusals, and studies run here."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir
from hpcnn.util.lock import lock

FILE = """
name = "mine"
program = ["python3", "-c", "import os, sys; sys.exit(os.environ['HPCNN_CPUS_PER_TASK'] == '2')"]
repeats = 3
[axes]
cpus_per_task = [1, 2]
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A directory with one study, and a place for profiles of the user's beside it."""
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (work / "mine.toml").write_text(FILE)
    return work


def study(verb, *words):
    return CliRunner().invoke(main, ["study", verb, *map(str, words)])


def planned(*words):
    result = study("submit", "mine.toml", "--site", "narval", *words, "--dry-run", "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


ACCOUNT = ("--account", "def-prof")


class TestDryRun:
    def test_it_lists_the_arrays_and_writes_nothing(self, here):
        result = study("submit", "mine.toml", "--site", "narval", *ACCOUNT, "--dry-run")
        assert result.exit_code == 0, result.output
        assert "mine: 6 runs, 6 to submit" in result.stderr
        lines = [line.split() for line in result.stdout.splitlines()]
        assert [line[:4] for line in lines if "01:00:00" in line] == [["3", "1", "1", "1"], ["3", "1", "1", "2"]]
        assert [path.name for path in here.iterdir()] == ["mine.toml"]

    def test_json_says_everything(self, here):
        first, second = planned(*ACCOUNT, "--time", "0:05:00", "--max-concurrent", "2")
        assert (first["job_id"], first["tasks"], first["cpus_per_task"], second["cpus_per_task"]) == (None, 3, 1, 2)
        assert first["time"] == "0:05:00"
        assert "--account=def-prof" in first["directives"]
        assert "#SBATCH --array=0-2%2\n" in first["text"]
        folder = here / "runs" / "mine"
        assert [Path(path).parent for path in first["runs"]] == [folder] * 3
        assert all(Path(path).name in first["text"] for path in first["runs"])
        assert Path(first["script"]).parent == folder / "arrays"

    def test_it_takes_all_options_of_resources(self):
        words = ("--nodes", "2", "--ntasks-per-node", "4", "--gpus-per-node", "4", "--cpus-per-task", "3")
        (only,) = planned(*ACCOUNT, *words)  # the axis cpus_per_task is replaced
        assert (only["nodes"], only["ntasks"], only["gpus_per_node"], only["cpus_per_task"]) == (2, 8, 4, 3)
        assert {"--nodes=2", "--ntasks-per-node=4"} < set(only["directives"])
        assert any(word.startswith("--gpus-per-node=") and word.endswith("4") for word in only["directives"])
        first, second = planned(*ACCOUNT, "--ntasks", "6", "--set", "batch_size=8")
        assert (first["ntasks"], second["ntasks"]) == (6, 6)

    def test_a_study_over_nodes_and_gpus_comes_along(self):
        result = study("submit", "nodes_and_gpus", "--site", "narval", *ACCOUNT, "--dry-run", "--format", "json")
        assert result.exit_code == 0, result.output
        arrays = json.loads(result.stdout)
        assert [(row["nodes"], row["ntasks"], row["gpus_per_node"], row["tasks"]) for row in arrays] == [
            (1, 1, 1, 3),
            (1, 4, 4, 3),
            (2, 8, 4, 3),
            (4, 16, 4, 3),
        ]
        assert all("--gpus-per-node=a100:4" in row["directives"] for row in arrays[1:]), arrays[1]["directives"]
        scripts = study("submit", "nodes_and_gpus", "--site", "narval", *ACCOUNT, "--scripts").stdout
        assert "--ntasks=16" in scripts
        refused = study("submit", "nodes_and_gpus", "--site", "narval", *ACCOUNT, "--nodes", "8", "--dry-run")
        assert refused.exit_code == 2
        assert "--set resources.nodes: the study's [[points]] say it each for itself" in refused.stderr

    def test_csv_has_a_line_for_each_array(self):
        text = study("submit", "mine.toml", "--site", "narval", *ACCOUNT, "--dry-run", "--format", "csv").stdout
        assert [row["tasks"] for row in csv.DictReader(io.StringIO(text))] == ["3", "3"]

    def test_options_change_the_study(self):
        words = ("--partition", "x", "--qos", "y", "--sbatch-option", "comment=z", "--container", "a b.sif")
        site = ("--site", "generic-slurm")
        rows = json.loads(
            study("submit", "mine.toml", *site, *words, "--env", "A=1", "--dry-run", "--format", "json").stdout
        )
        assert {"--partition=x", "--qos=y", "--comment=z"} <= set(rows[0]["directives"])
        assert rows[0]["runs"] != planned(*ACCOUNT)[0]["runs"]

    def test_scripts_can_be_read(self):
        words = ("--site", "generic-slurm", "--container", "a b.sif", "--bind", "/x", "--env", "A=1", "--scripts")
        result = study("submit", "mine.toml", *words)
        assert result.exit_code == 0, result.output
        heads = [line for line in result.stdout.splitlines() if line.startswith("==> ")]
        assert [Path(head.split()[1]).name for head in heads[1::2]] == ["job.sh", "job.sh"]
        assert result.stdout.count("#SBATCH --array=0-2\n") == 2
        for part in ("image='a b.sif'", "--bind /x", "export A=1", "python3 -c"):
            assert part in result.stdout

    def test_more_time_is_no_other_run(self):
        assert planned(*ACCOUNT)[0]["runs"] == planned("--account", "def-other", "--time", "3:00:00")[0]["runs"]


class TestRefused:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["mine.toml"], "Missing option '--site'"),
            (["mine.toml", "--site", "nowhere"], "--site: 'nowhere' is not known."),
            (["mine.toml", "--site", "local"], "--site: site local has no scheduler to submit to; `hpcnn study run`"),
            (["mine.toml", "--site", "lumi"], "--account: site lumi needs the account"),
            (["mien.toml", "--site", "narval"], "study: there is no file or folder 'mien.toml'"),
            (["mine.toml", "--site", "narval", "--max-concurrent", "0"], "Invalid value for '--max-concurrent'"),
        ],
    )
    def test_with_a_message_and_nothing_written(self, words, message, here):
        result = study("submit", *words, "--dry-run")
        assert result.exit_code == 2
        assert message in result.stderr
        assert [path.name for path in here.iterdir()] == ["mine.toml"]

    def test_two_commands_at_a_time(self, here):
        """In two processes, as two people or two terminals do it."""
        with lock(here / "runs" / "mine"):
            words = [sys.executable, "-m", "hpcnn", "study", "run", "mine.toml"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "is at work on this study" in done.stderr
        assert [path.name for path in (here / "runs" / "mine").iterdir()] == [".lock"]


class TestStatus:
    def status(self, *words):
        result = study("status", *words, "--format", "json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def test_a_study_that_was_run_here(self, here):
        study("run", "mine.toml", "--set", "repeats=2")
        by_point = {row["point"]: row for row in self.status("mine.toml")}
        counts = {point: (row["completed"], row["failed"], row["missing"]) for point, row in by_point.items()}
        assert counts == {"cpus_per_task=1": (2, 0, 1), "cpus_per_task=2": (0, 2, 1)}
        by_run = self.status("mine.toml", "--each")
        assert [row["status"] for row in by_run] == ["completed", "failed"] * 2 + ["missing"] * 2
        assert by_run[1]["reason"] == "the launcher ended with exit status 1; see log.out"
        folder = {row["point"]: (row["completed"], row["failed"]) for row in self.status("runs/mine")}
        assert folder == {"cpus_per_task=1": (2, 0), "cpus_per_task=2": (0, 2)}

    def test_the_table_says_how_many_and_why(self):
        study("run", "mine.toml")
        result = study("status", "mine.toml")
        assert "6 runs: 3 completed, 3 failed" in result.stdout
        assert "failed: the launcher ended with exit status 1; see log.out (cpus_per_task=2-r01-" in result.stdout
        assert " and 2 more)" in result.stdout
        assert "missing" not in result.stdout

    def test_check(self):
        words = ("mine.toml", "--set", "cpus_per_task=1", "--check")
        assert study("status", *words).exit_code == 1
        study("run", *words[:-1])
        assert study("status", *words).exit_code == 0

    def test_of_a_site_the_runs_there_say_which(self, here):
        for row in planned(*ACCOUNT):
            for path in map(Path, row["runs"]):
                path.mkdir(parents=True)
                (path / "spec.json").write_text('{"site": "narval", "point": {}}')
        assert {row["path"] for row in self.status("mine.toml", "--each")} == {
            path for row in planned(*ACCOUNT) for path in row["runs"]
        }

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["nowhere"], "study: 'nowhere' is not known."),
            (["."], ".: there is no run in this folder"),
            (
                [".", "--set", "repeats=2"],
                ".: a folder shows the runs that are there; to change the study, name its file",
            ),
        ],
    )
    def test_refused(self, words, message):
        result = study("status", *words)
        assert result.exit_code == 2
        assert message in result.stderr


class TestSlurmGivesNoAnswer:
    SILENCE = "no answer from squeue: Unable to contact slurm controller (connect failure)"
    SITE = ("--site", "generic-slurm")

    def test_nothing_is_submitted(self, here, slurm_commands):
        slurm_commands.fail("squeue")
        slurm_commands.put("sbatch", "7\n")
        result = study("submit", "mine.toml", *self.SITE)
        assert (result.exit_code, result.stdout) == (1, "")
        assert self.SILENCE in result.stderr
        assert slurm_commands.calls("sbatch") == []
        assert [path.name for path in here.iterdir()] == ["mine.toml"]

    def test_a_dry_run_lists_all_and_says_so(self, slurm_commands):
        slurm_commands.fail("squeue")
        slurm_commands.put("sbatch")
        result = study("submit", "mine.toml", *self.SITE, "--dry-run", "--format", "json")
        assert result.exit_code == 0, result.output
        assert sum(row["tasks"] for row in json.loads(result.stdout)) == 6
        assert "squeue does not answer: runs in the queue are shown as missing" in result.stderr

    def test_a_dry_run_on_a_machine_without_slurm_says_nothing(self, slurm_commands):
        result = study("submit", "mine.toml", *self.SITE, "--dry-run", "--format", "json")
        assert (result.exit_code, "squeue" in result.stderr) == (0, False)

    def test_what_was_submitted_is_neither_submitted_nor_run_again(self, slurm_commands):
        slurm_commands.squeue()
        slurm_commands.put("sbatch", "7\n")
        assert study("submit", "mine.toml", *self.SITE, "--set", "cpus_per_task=1").exit_code == 0
        slurm_commands.fail("squeue")
        again = study("submit", "mine.toml", *self.SITE, "--set", "cpus_per_task=1")
        here = study("run", "mine.toml", *self.SITE, "--set", "cpus_per_task=1")
        assert (again.exit_code, here.exit_code) == (1, 1)
        assert f"3 runs may still be in the queue: {self.SILENCE}" in here.stderr
        assert len(slurm_commands.calls("sbatch")) == 1
        rows = json.loads(study("status", "runs/mine", "--each", "--format", "json").stdout)
        assert [(row["status"], row["reason"]) for row in rows] == [("unknown", self.SILENCE)] * 3

    def test_a_wait_goes_on_until_it_answers(self, here, slurm_commands, clock):
        slurm_commands.squeue()
        slurm_commands.put("sbatch", "7\n")
        (here / "mine.toml").write_text(FILE.replace("repeats = 3", "repeats = 1").replace("[1, 2]", "[1]"))
        assert study("submit", "mine.toml", *self.SITE).exit_code == 0
        (run,) = (here / "runs" / "mine").glob("*/job.json")
        slurm_commands.squeue("7_0|RUNNING")
        clock.at(1, slurm_commands.fail, "squeue")
        clock.at(100, slurm_commands.squeue, "7_0|COMPLETED")
        clock.at(100, lambda: RunDir(run.parent).write_result("completed", exit_code=0))
        result = study("submit", "mine.toml", *self.SITE, "--wait")
        assert result.exit_code == 0, result.output
        assert f"{self.SILENCE}; still waiting, for 30 minutes at most" in result.stderr
        assert 100 <= clock.now < 140


def test_slurm_is_asked_when_each_array_would_start(here, slurm_commands):
    slurm_commands.squeue()
    slurm_commands.put("sbatch", error="sbatch: Job 7 to start at 2026-01-02T03:04:05\n")
    result = study("submit", "mine.toml", "--site", "generic-slurm", "--test-only", "--after", "5")
    assert result.exit_code == 0, result.output
    assert [line.partition(": ")[2] for line in result.stdout.splitlines()] == [
        "Job 7 to start at 2026-01-02T03:04:05"
    ] * 2
    calls = [call.split() for call in slurm_commands.calls("sbatch")]
    assert [call[:-1] for call in calls] == [["--test-only", "--dependency=afterok:5", "--kill-on-invalid-dep=yes"]] * 2
    assert [path.name for path in here.iterdir()] == ["mine.toml"]
