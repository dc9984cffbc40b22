"""The run directory: file names, whole files, whole lines, and what is refused."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpcnn.rundir.events import EventLog
from hpcnn.rundir.layout import RunDir
from hpcnn.util.errors import UsageError
from hpcnn.util.files import (
    LineWriter,
    WriteError,
    open_own,
    read_json,
    read_lines,
    replacing,
    write_json,
    write_text,
)

REWRITE = """
import pathlib, sys
from hpcnn.util.files import write_json
for number in range(200):
    write_json(pathlib.Path(sys.argv[1]), {"n": number, "pad": "x" * 100_000})
"""


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path / "study" / "run")
    run.create()
    return run


def tree(folder):
    """Return {path: (bytes, modification time)} of all files below a folder."""
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}


def test_names_of_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = RunDir("here")
    assert run.path == tmp_path / "here"
    assert run.epochs(12).name == "epochs.rank00012.jsonl"
    assert run.failure(3).name == "failed.rank00003.json"


def test_a_finished_run_is_refused_and_untouched(run):
    run.write_result("failed", exit_code=1)
    run.epochs(0).write_text("{}\n")
    before = tree(run.path)
    with pytest.raises(UsageError, match=r"^--run-dir: '.*/study/run' already holds a finished run \(result.json\); "):
        run.create()
    assert tree(run.path) == before


def test_an_unfinished_run_is_taken_up(run):
    run.spec.write_text("{}")
    run.create()
    assert run.spec.exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"^--run-dir: '.*/file/run' cannot be made: Not a directory$"):
        RunDir(tmp_path / "file" / "run").create()


def test_clearing_removes_what_an_attempt_measured_and_nothing_else(run):
    kept = [run.spec, run.job_script, run.log]
    gone = [run.events, run.provenance, run.epochs(0), run.epochs(100000), run.failure(1)]
    for file in (*kept, *gone):
        file.write_text("{}")
    run.clear_attempt()
    assert [file.exists() for file in kept] == [True] * 3
    assert [file.exists() for file in gone] == [False] * 5


def test_ranks_are_found_in_order_of_their_number(run):
    for rank in (100000, 2, 10):
        run.epochs(rank).write_text("")
    (run.path / "epochs.rank7.jsonl").write_text("not ours")
    assert [rank for rank, _ in run.epoch_files()] == [2, 10, 100000]


def test_a_status_that_is_none_is_a_mistake_of_the_caller(run):
    with pytest.raises(ValueError, match="'done'"):
        run.write_result("done")
    assert run.read_result() is None


class TestWholeFiles:
    def test_nothing_temporary_stays(self, tmp_path):
        write_text(tmp_path / "deep" / "job.sh", "x")
        assert [file.name for file in (tmp_path / "deep").iterdir()] == ["job.sh"]

    @pytest.mark.parametrize(
        ("umask", "modes"), [(0o077, (0o600, 0o700)), (0o022, (0o644, 0o755)), (0o002, (0o664, 0o775))]
    )
    def test_the_umask_decides_who_reads_it(self, tmp_path, umask, modes):
        before = os.umask(umask)
        try:
            write_text(tmp_path / "x", "x")
            write_text(tmp_path / "job.sh", "x", executable=True)
            LineWriter(tmp_path / "lines").close()
        finally:
            os.umask(before)
        found = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("x", "job.sh", "lines")]
        assert found == [*modes, modes[0]]

    def test_a_link_of_another_user_is_not_followed(self, tmp_path):
        third = tmp_path / "third"
        third.write_text("mine")
        for name in (f".result.json.{os.getpid()}.tmp", "result.json", "lines", "log.out"):
            (tmp_path / name).symlink_to(third)
        write_text(tmp_path / "result.json", "new")
        with pytest.raises(WriteError, match="lines: cannot be written: too many levels of symbolic links"):
            LineWriter(tmp_path / "lines")
        with pytest.raises(WriteError, match=r"log\.out: cannot be written"):
            open_own(tmp_path / "log.out", "ab")
        assert third.read_text() == "mine"
        assert not (tmp_path / "result.json").is_symlink()

    def test_a_folder_that_is_gone_is_not_made_again(self, run):
        run.path.rmdir()
        with pytest.raises(WriteError, match=r"result\.json: cannot be written: no such file or directory"):
            run.write_result("completed")
        assert not run.path.exists()

    def test_what_fails_within_leaves_nothing(self, tmp_path):
        (tmp_path / "x").write_text("before")
        with pytest.raises(ValueError, match="Expecting"), replacing(tmp_path / "x") as new:
            new.write_text(json.loads("{"))
        assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]

    def test_any_text_arrives_byte_for_byte(self, tmp_path):
        text = "é\r\n\n" + os.fsdecode(b"\xff")
        write_text(tmp_path / "x", text)
        assert (tmp_path / "x").read_bytes() == "é\r\n\n".encode() + b"\xff"

    def test_a_reader_never_sees_half_a_file(self, tmp_path):
        file = tmp_path / "result.json"
        write_json(file, {"n": 0, "pad": "x" * 100_000})
        with subprocess.Popen([sys.executable, "-c", REWRITE, file]) as writer:
            seen = set()
            while writer.poll() is None:
                seen.add(json.loads(file.read_text())["n"])
        assert writer.returncode == 0
        assert len(seen) > 1

    def test_what_json_has_no_word_for(self, tmp_path):
        values = {"nan": float("nan"), "inf": [float("inf")], "numpy": np.float32(0.5), "path": Path("a"), "t": (1, 2)}
        write_json(tmp_path / "x.json", values)
        expected = {"nan": None, "inf": [None], "numpy": 0.5, "path": "a", "t": [1, 2]}
        assert read_json(tmp_path / "x.json") == expected

    @pytest.mark.parametrize("text", [None, "", "{", "[1]", "3"])
    def test_no_whole_object_is_none(self, tmp_path, text):
        if text is not None:
            (tmp_path / "x.json").write_text(text)
        assert read_json(tmp_path / "x.json") is None


class TestLines:
    def test_a_line_is_on_disk_when_it_is_written(self, run):
        lines = LineWriter(run.epochs(0))
        lines.write({"epoch": 1, "loss": float("nan")})
        assert list(read_lines(run.epochs(0))) == [{"epoch": 1, "loss": None}]
        lines.write({"epoch": 2})
        assert [line["epoch"] for line in read_lines(run.epochs(0))] == [1, 2]
        lines.close()
        with pytest.raises(ValueError, match="closed"):
            lines.write({})

    def test_a_line_that_a_crash_cut_off_is_left_out(self, run):
        run.epochs(0).write_text('{"epoch": 1}\n[2]\n{"epoch": 3, "lo')
        assert list(read_lines(run.epochs(0))) == [{"epoch": 1}]

    def test_events_have_monotonic_times(self, run):
        log = EventLog(run)
        times = [log.write("epoch_start", number, lr=0.1) for number in range(3)]
        log.close()
        events = list(read_lines(run.events))
        assert times == sorted(times)
        assert [event["seconds"] for event in events] == [round(time, 6) for time in times]
        assert [(event["key"], event["value"], event["metadata"]) for event in events] == [
            ("epoch_start", number, {"lr": 0.1}) for number in range(3)
        ]


class TestEarlierAttempts:
    MADE = ("checkpoints/epoch-003.keras", "plots/curves.png", "tensorboard/train/events", "exported/x", "weights.npz")

    def test_what_they_made_is_set_aside_each_by_itself(self, run):
        for number in ("1", "2"):
            for name in self.MADE:
                (run.path / name).parent.mkdir(parents=True, exist_ok=True)
                (run.path / name).write_text(number)
            run.clear_attempt()
            assert not run.networks()
        assert [(run.path / "earlier" / n / name).read_text() for n in "12" for name in self.MADE] == ["1"] * 5 + [
            "2"
        ] * 5
        run.clear_attempt()
        assert not (run.path / "earlier" / "3").exists()

    def test_what_a_users_program_made_is_left(self, run):
        run.checkpoints.mkdir()
        (run.checkpoints / "epoch-003.keras").write_text("mine")
        run.clear_attempt(own_program=True)
        run.prepare_resume(2, [], own_program=True)
        assert list(run.networks()) == [3]

    def test_a_resumed_attempt_makes_later_networks_again(self, run):
        run.checkpoints.mkdir()
        for epoch in (1, 2, 3):
            (run.checkpoints / f"epoch-00{epoch}.keras").touch()
        run.prepare_resume(3, [])
        assert list(run.networks()) == [1, 2]
