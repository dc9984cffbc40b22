"""``hpcnn status``, ``logs`` and ``top`` of runs on this machine: what a person looks at."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.progress import ProgressWriter
from tests.conftest import Command
from tests.synthetic.runs import write_run
from tests.terminal.screen import see

OLD = time.time() - 3600


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with three runs: one that has completed, one that trains, and one that was cut off."""
    monkeypatch.delenv("HPCNN_RUNS", raising=False)
    done, alive, dead = (tmp_path / "runs" / "cnn" / name for name in ("done", "alive", "dead"))
    write_run(done, accuracies=[0.5, 0.6, 0.7])
    write_run(alive, ranks=2, status=None, train={"precision": "bfloat16"})
    ProgressWriter(RunDir(alive), 3, 100, 32).done(2, 40)
    write_run(dead, ranks=4, status=None)
    for number, run in enumerate((dead, done, alive)):  # the newest last
        (run / "log.out").write_text(f"the log of {run.name}\n")
        os.utime(run / "spec.json", (OLD + number, OLD + number))
    for file in dead.iterdir():
        os.utime(file, (OLD, OLD))
    return tmp_path


def test_status_shows_runs_of_this_machine_the_newest_first(folder: Path, in_process: Command) -> None:
    ended = in_process("status", cwd=folder)
    rows = [line.split() for line in ended.stdout.splitlines() if line.startswith("runs/")]
    assert [row[:2] for row in rows[:3]] == [
        ["runs/cnn/alive", "running"],
        ["runs/cnn/done", "completed"],
        ["runs/cnn/dead", "unknown"],
    ]
    assert "precision bfloat16" in ended.stdout
    assert "ntasks 4" in ended.stdout
    assert "samples" not in ended.stdout, "the same in all runs"
    assert ended.stdout.count("runs/cnn/dead: unknown: it has no result, and writes nothing") == 1


def test_status_of_one_run_and_of_the_newest(folder: Path, in_process: Command) -> None:
    assert json.loads(in_process("status", "runs/cnn/done", "--format", "json", cwd=folder).stdout)[0]["run"] == str(
        folder / "runs/cnn/done"
    )
    assert "2 older runs: --last 3" in in_process("status", "--last", "1", cwd=folder).stdout
    refused = in_process("status", "nowhere", cwd=folder)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "there is no file or folder 'nowhere'" in refused.stderr


def test_logs_of_a_folder_are_those_of_its_newest_run(folder: Path, in_process: Command) -> None:
    ended = in_process("logs", "runs", cwd=folder)
    assert ended.stdout == "the log of alive\n"
    assert ended.stderr == "runs/cnn/alive, the newest; 2 other runs beside it (hpcnn status runs)\n"


def test_logs_follow_a_run_of_this_machine_to_its_result(folder: Path, in_process: Command) -> None:
    RunDir(folder / "runs/cnn/alive").write_result("completed", exit_code=0)
    assert in_process("logs", "-f", "runs/cnn/alive", cwd=folder).stdout == "the log of alive\n"
    cut_off = in_process("logs", "-f", "runs/cnn/dead", cwd=folder)
    assert (cut_off.returncode, cut_off.stdout) == (2, "the log of dead\n")
    assert "nothing has been written for a minute" in cut_off.stderr


def test_top_shows_what_runs_first(folder: Path, in_process: Command) -> None:
    ended = in_process("top", cwd=folder)
    assert ended.stdout.startswith("3 runs: 1 running, ")
    rows = [line.split() for line in ended.stdout.splitlines() if line.startswith("cnn/")]
    assert rows[0][:4] == ["cnn/alive", "running", "2/3", "40/100"]
    assert ["cnn/done", "completed", "3/3", "–", "100", "70.00%"] in rows


def test_top_fits_the_terminal(folder: Path) -> None:
    seen = see("top", "--once", folder=folder)
    assert seen.status == 0
    assert not seen.wrapped
    assert "cnn/alive" in seen.text


# A program that writes where it stands as a training does, since a training would take longer.
PROGRAM = """
import json, os, sys, time
facts = {"epoch": 1, "epochs": 2, "step": 7, "steps": 10, "images_per_second": 123.0, "seconds_left": 61.0}
with open(os.path.join(os.environ["HPCNN_RUN_DIR"], "progress.json"), "w") as file:
    json.dump(facts, file)
print("first line", flush=True)
time.sleep(1.5)
print("last line", flush=True)
"""


def test_something_moves_during_an_epoch_and_nothing_of_it_stays(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    seen = see("submit", "--site", "local", "--", "python", "program.py", folder=tmp_path)
    assert seen.status == 0, seen.text
    assert b"epoch 1/2  7/10 steps  123 images/s  0:01:01 left" in seen.raw
    assert "7/10 steps" not in seen.text
    assert "first line\nlast line" in seen.text


def test_a_log_has_nothing_that_moves(tmp_path: Path, hpcnn: Command) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    ended = hpcnn("submit", "--site", "local", "--", "python", "program.py", cwd=tmp_path)
    assert ended.stdout == "first line\nlast line\n"
    assert "7/10 steps" not in ended.stderr


def test_runs_stand_side_by_side_with_the_settings_that_differ(folder: Path, in_process: Command) -> None:
    ended = in_process("runs", cwd=folder)
    assert ended.stdout.startswith("In all 3 runs: site local, model cnn, data digits, ")
    (head,) = [line.split() for line in ended.stdout.splitlines() if line.startswith("run ")]
    assert head == ["run", "precision", "ntasks", "status", "done", "images/s", "accuracy"]
    rows = {line.split()[0]: line.split()[1:] for line in ended.stdout.splitlines() if line.startswith("runs/")}
    assert list(rows) == ["runs/cnn/alive", "runs/cnn/done", "runs/cnn/dead"]
    assert rows["runs/cnn/done"] == ["float32", "1", "completed", "3", "100", "70.00%"]
    (newest,) = json.loads(in_process("runs", "--last", "1", "--format", "json", cwd=folder).stdout)
    assert (newest["run"], newest["epochs_done"]) == ("runs/cnn/alive", 3)


def test_diff_shows_what_differs_from_the_script_of_a_run(tmp_path: Path, in_process: Command) -> None:
    words = ("submit", "--site", "local", "--run-dir", "first", "--", "true")
    assert in_process(*words, cwd=tmp_path).returncode == 0
    same = in_process("submit", "--site", "local", "--diff", "first", "--", "true", cwd=tmp_path)
    assert same.stdout == "the script is the same as that of first\n"
    other = in_process(*("submit", "--site", "local", "--env", "A=1", "--diff", "first", "--", "true"), cwd=tmp_path)
    changed = [line for line in other.stdout.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == ["+export A=1"]
    assert not (tmp_path / "runs").exists(), "nothing was submitted"
    refused = in_process("submit", "--diff", "nowhere", "--site", "local", cwd=tmp_path)
    assert (refused.returncode, "there is no file or folder 'nowhere'" in refused.stderr) == (2, True)


@pytest.mark.parametrize("command", ["runs", "status"])
def test_where_there_is_no_run_it_says_what_begins_one(command: str, in_process: Command, tmp_path: Path) -> None:
    ended = in_process(command, cwd=tmp_path, HPCNN_RUNS=str(tmp_path / "runs"))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "no run in runs yet\n", "next: hpcnn submit\n")
    assert in_process(command, "--format", "json", cwd=tmp_path, HPCNN_RUNS=str(tmp_path / "runs")).stdout == "[]\n"
