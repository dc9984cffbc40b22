"""``hpcnn study run``: lists, runs what is missing, keeps failed attempts, survives interruption."""

import csv
import io
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
from hpcnn.util.files import read_lines
from hpcnn.util.share import share_dir

PACKAGED = sorted(file.stem for file in share_dir("scaling_studies").glob("*.toml"))

# Writes down that it ran, and does as the file `order` says for its number of cores: ends well, fails, or waits.
PROGRAM = """
import os, pathlib, sys, time
cores = os.environ['HPCNN_CPUS_PER_TASK']
with open('ran', 'a') as file:
    print(cores, file=file)
for _ in range(1200):
    order = pathlib.Path('order' + cores)
    if not order.exists():
        break
    if (word := order.read_text()) != 'wait':
        sys.exit(word)
    time.sleep(0.05)
"""


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


@pytest.fixture
def quick(here):
    """A study of two points and two repeats whose program is quick."""
    file = here / "quick.toml"
    words = json.dumps([sys.executable, "-c", PROGRAM])
    file.write_text(f"repeats = 2\nprogram = {words}\n[axes]\ncpus_per_task = [1, 2]\n")
    return file


def study_run(*words):
    return CliRunner().invoke(main, ["study", "run", *map(str, words)])


def listed(*words):
    """Return {run: state} as a dry run says."""
    result = study_run(*words, "--dry-run", "--format", "json")
    assert result.exit_code == 0, result.output
    return {row["run"]: row["state"] for row in json.loads(result.stdout)}


def statuses():
    """Return {run directory's name: status} of all that is in runs/quick."""
    return {run.name: (RunDir(run).read_result() or {}).get("status") for run in run_directories()}


def run_directories():
    return [path for path in Path("runs/quick").iterdir() if path.is_dir()]


def ran():
    """Return the cores of every run of the program, in order of their start."""
    return [int(line) for line in Path("ran").read_text().split()]


class TestDryRun:
    @pytest.mark.parametrize("name", PACKAGED)
    def test_packaged_studies(self, name, here):
        runs = listed(name)
        assert len(runs) >= 5
        assert set(runs.values()) == {"missing"}
        assert not list(here.iterdir())

    def test_formats(self, quick):
        runs = listed(quick)
        rows = list(csv.DictReader(io.StringIO(study_run(quick, "--dry-run", "--format", "csv").stdout)))
        assert [(row["run"], row["state"]) for row in rows] == list(runs.items())
        table = study_run(quick, "--dry-run").stdout
        assert f"quick (throughput) in {Path.cwd()}/runs/quick\n" in table
        assert all(run in table for run in runs)

    def test_changes(self, quick):
        runs = listed(quick, "--set", "repeats=1", "--set", "cpus_per_task=[1,2,3]", "--runs", "elsewhere")
        assert [run.partition("-")[0] for run in runs] == [f"cpus_per_task={n}" for n in (1, 2, 3)]

    def test_finished_runs_are_told_from_missing_ones(self, quick):
        (Path.cwd() / "order2").write_text("broken")
        assert study_run(quick).exit_code == 1
        states = listed(quick)
        assert {run.partition("-")[0]: state for run, state in states.items()} == {
            "cpus_per_task=1": "finished",
            "cpus_per_task=2": "missing",
        }


class TestRun:
    def test_all_points_and_repeats_in_order(self, quick):
        planned = list(listed(quick))
        result = study_run(quick)
        assert result.exit_code == 0, result.output
        assert ran() == [1, 2, 1, 2]
        assert statuses() == dict.fromkeys(planned, "completed")
        lines = result.stderr.splitlines()
        assert lines[0] == f"quick: 4 runs, in {Path.cwd()}/runs/quick"
        assert [line.split("  ")[0] for line in lines[1:]] == [f"[{n}/4] {run}" for n, run in enumerate(planned, 1)]
        assert all(line.endswith(" s  ok") for line in lines[1:])

    def test_each_run_directory_says_what_was_asked(self, quick):
        study_run(quick)
        for run in run_directories():
            spec = json.loads((run / "spec.json").read_text())
            assert (spec["study"], spec["name"], spec["kind"]) == ("quick", "quick", "throughput")
            assert run.name.startswith(f"cpus_per_task={spec['point']['cpus_per_task']}-r{spec['repeat']:02d}-")
            assert spec["resources"]["cpus_per_task"] == spec["point"]["cpus_per_task"]

    def test_finished_runs_are_skipped(self, quick):
        study_run(quick, "--set", "repeats=1")
        result = study_run(quick)
        assert result.stderr.startswith("quick: 4 runs, 2 already finished, in ")
        assert ran() == [1, 2, 1, 2]
        before = {file: file.stat().st_mtime_ns for file in Path("runs").rglob("*")}
        assert study_run(quick).exit_code == 0
        assert {file: file.stat().st_mtime_ns for file in Path("runs").rglob("*")} == before
        assert ran() == [1, 2, 1, 2]

    def test_a_failing_run_stops_no_other_and_is_run_again(self, quick, here):
        (here / "order1").write_text("out of luck")
        planned = list(listed(quick))
        result = study_run(quick)
        assert result.exit_code == 1
        assert ran() == [1, 2, 1, 2]
        assert statuses() == dict(zip(planned, ["failed", "completed"] * 2, strict=True))
        assert f"[1/4] {planned[0]}  " in result.stderr
        assert "FAILED (the launcher ended with exit status 1; see log.out)" in result.stderr
        assert f"failed: {here}/runs/quick/{planned[2]}: the launcher ended with exit status 1" in result.stderr

        (here / "order1").unlink()
        assert study_run(quick).exit_code == 0
        assert ran() == [1, 2, 1, 2, 1, 1]
        assert statuses() == {
            **dict.fromkeys(planned, "completed"),
            f"{planned[0]}~1": "failed",
            f"{planned[2]}~1": "failed",
        }
        assert (here / "runs" / "quick" / f"{planned[0]}~1" / "log.out").read_text() == "out of luck\n"

    def test_every_failed_attempt_is_kept(self, quick, here):
        (here / "order1").write_text("1st")
        words = (quick, "--set", "repeats=1", "--set", "cpus_per_task=1")
        (run,) = listed(*words)
        study_run(*words)
        (here / "order1").write_text("2nd")
        study_run(*words)
        (here / "order1").write_text("3rd")
        study_run(*words)
        logs = {name: (here / "runs" / "quick" / name / "log.out").read_text() for name in statuses()}
        assert logs == {f"{run}~1": "1st\n", f"{run}~2": "2nd\n", run: "3rd\n"}

    def test_an_edited_study_runs_again_beside_the_old(self, quick):
        study_run(quick, "--set", "repeats=1")
        study_run(quick, "--set", "repeats=1", "--set", "kind=strong")
        assert ran() == [1, 2, 1, 2]
        assert len(statuses()) == 4

    def test_interrupted_and_resumed(self, quick, here):
        planned = list(listed(quick))
        (here / "order2").write_text("wait")
        command = [sys.executable, "-m", "hpcnn", "study", "run", quick]
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 30
        while not (here / "ran").exists() or ran() != [1, 2]:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "interrupted; the same command goes on with what is missing" in errors
        assert "Traceback" not in errors
        assert statuses() == {planned[0]: "completed", planned[1]: "interrupted"}
        first = (here / "runs" / "quick" / planned[0] / "result.json").stat().st_mtime_ns

        (here / "order2").unlink()
        result = study_run(quick)
        assert result.exit_code == 0
        assert result.stderr.startswith("quick: 4 runs, 1 already finished, in ")
        assert ran() == [1, 2, 2, 1, 2]
        assert statuses() == {**dict.fromkeys(planned, "completed"), f"{planned[1]}~1": "interrupted"}
        assert (here / "runs" / "quick" / planned[0] / "result.json").stat().st_mtime_ns == first

    def test_a_run_that_was_cut_off_without_a_word_is_run_again(self, quick, here):
        run = next(iter(listed(quick)))
        unfinished = RunDir(here / "runs" / "quick" / run)
        unfinished.create()
        unfinished.log.write_text("cut")
        assert study_run(quick).exit_code == 0
        assert (here / "runs" / "quick" / f"{run}~1" / "log.out").read_text() == "cut"
        assert statuses()[run] == "completed"


def test_what_the_ranks_run_in_is_heeded(here):
    program = json.dumps([sys.executable, "-c", "import os; print(os.environ['NOTE'])"])
    (here / "quick.toml").write_text(f"program = {program}\n[software]\nenv = {{ NOTE = 'from the file' }}\n")
    assert study_run("quick.toml").exit_code == 0
    assert study_run("quick.toml", "--env", "NOTE=from the command line").exit_code == 0
    logs = {run.joinpath("log.out").read_text() for run in run_directories()}
    assert logs == {"from the file\n", "from the command line\n"}


class TestRefused:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                ["smoek"],
                "study: 'smoek' is not known. Did you mean 'smoke'? Valid: accuracy_ladder, augmentation, ",
            ),
            (["smoke", "--set", "epoch=3"], "--set: 'epoch' is not known. Did you mean 'epochs'? Valid: "),
            (["smoke", "--set", "epochs"], "--set: 'epochs' is not valid; expected KEY=VALUE."),
            (["smoke", "--set", "epochs=0"], "smoke.toml: [train] epochs: 0 is not valid; expected at least 1."),
            (["smoke", "--set", "ntasks=[1,x]"], "smoke.toml: [axes] resources.ntasks: 'x' is not valid; expected a w"),
            (["smoke", "--set", "strategy=serial"], "smoke, point ntasks=2: ntasks: 2 is not valid; expected 1 with s"),
            (["smoke", "--set", "nodes=2", "--set", "ntasks=2"], "nodes: 2 is not valid; expected 1 at site local, wh"),
            (["smoke", "--set", "data=[digits,mnits]"], "--data: 'mnits' is not known. Did you mean 'mnist'? Valid: "),
            (["smoke", "--site", "locla"], "--site: 'locla' is not known. Did you mean 'local'? Valid: "),
        ],
    )
    @pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry", "real"])
    def test_with_a_message_and_nothing_written(self, words, message, dry, here):
        result = study_run(*words, *dry)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"Error: {message}")
        assert not list(here.iterdir())

    def test_data_that_is_not_staged_before_the_first_run(self, here, monkeypatch):
        monkeypatch.setenv("HPCNN_DATA", str(here))
        result = study_run("smoke", "--set", "data=[digits,mnist]")
        assert result.exit_code == 2
        assert "Error: --data: 'mnist' is not staged: " in result.stderr
        assert not list(here.iterdir())


@pytest.mark.slow
@pytest.mark.mpi
def test_a_real_study(here):
    """One and two real ranks, trained from a study file to records that a report can read."""
    words = ("smoke", "--set", "repeats=1", "--set", "epochs=2", "--set", "samples=1437")
    planned = list(listed(*words))
    result = study_run(*words)
    assert result.exit_code == 0, result.stderr
    for ntasks, name in enumerate(planned, 1):
        run = RunDir(here / "runs" / "smoke" / name)
        assert run.read_result()["status"] == "completed"
        assert [rank for rank, _ in run.epoch_files()] == list(range(ntasks))
        for _, file in run.epoch_files():
            assert [line["epoch"] for line in read_lines(file)] == [1, 2]
        assert json.loads(run.provenance.read_text())["world_size"] == ntasks
    assert set(listed(*words).values()) == {"finished"}


WANTS_GPU = """
name = "both"
kind = "throughput"

[train]
samples = 64
epochs = 1
evaluate = false

[[points]]
nodes = 1

[[points]]
gpus_per_node = 1
"""


@pytest.mark.slow
@pytest.mark.skipif(Path("/dev/kfd").exists() or Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
def test_what_asks_for_gpus_is_left_out_where_there_is_none(here, monkeypatch, hpcnn):
    (here / "both.toml").write_text(WANTS_GPU)
    ended = hpcnn("study", "run", "both.toml")
    assert ended.returncode == 0, ended.stderr
    assert "left out: 1 of 2 runs ask for GPUs, and this machine has none" in ended.stderr
    assert sorted(listed(here / "both.toml").values()) == ["finished", "missing"]
    # a driver that sees a GPU which TensorFlow does not
    driver = here / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\necho NVIDIA H100\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{driver.parent}{os.pathsep}{os.environ['PATH']}")
    ended = hpcnn("study", "run", "both.toml")
    assert ended.returncode == 1
    assert "the job asked for GPUs (1 a node), and TensorFlow sees none" in ended.stderr
