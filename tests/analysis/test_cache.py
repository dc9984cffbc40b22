"""What the report keeps of what it read: the same tables, every change seen, and nothing worse than slow if damaged."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpcnn.analysis import cache
from hpcnn.analysis.load import RunData
from hpcnn.report import load
from hpcnn.rundir.layout import SCHEMA_VERSION, RunDir
from hpcnn.util.files import write_json

EPOCHS = 30
LEAST_ROWS = 100  # four runs are enough to be worth keeping


def same(one: RunData, other: RunData) -> None:
    pd.testing.assert_frame_equal(one.runs, other.runs)
    pd.testing.assert_frame_equal(one.epochs, other.epochs)


def settle(folder: Path) -> None:
    """Make all files a minute old: what has changed just now is not kept."""
    past = time.time() - 60
    for file in folder.rglob("*.json*"):
        os.utime(file, (past, past))


@pytest.fixture
def kept(tmp_path, monkeypatch) -> Path:
    """Return the folder of the cache's files."""
    monkeypatch.setattr(cache, "_LEAST_ROWS", LEAST_ROWS)
    monkeypatch.setenv("HPCNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "reports"


@pytest.fixture
def study(run_at, tmp_path, kept) -> Path:
    """Return a folder of four runs, which were loaded once, and so are kept."""
    folder = tmp_path / "scale"
    for number in range(4):
        run_at(folder / f"r{number}", ranks=1, seconds=[1.0 + number] * EPOCHS, accuracy=0.9)
    settle(folder)
    load(folder)
    assert [file.suffix for file in kept.iterdir()] == [".npz"]
    return folder


def append(run: RunDir, **changes: object) -> None:
    """Append one more epoch to a run."""
    last = json.loads(run.epochs(0).read_text().splitlines()[-1])
    with run.epochs(0).open("a") as file:
        file.write(json.dumps({**last, "epoch": last["epoch"] + 1, **changes}) + "\n")


def test_cached_and_uncached_tables_are_equal(study):
    same(load(study), load(study, cache=False))


def test_what_has_not_changed_is_taken_from_the_file(study, kept):
    (file,) = kept.iterdir()
    with np.load(file) as arrays:
        content = dict(arrays)
    content["values.loss"] = content["values.loss"] + 1
    np.savez(file, **content)
    expected = load(study, cache=False)
    expected.epochs["loss"] += 1
    same(load(study), expected)


def test_a_change_is_seen_though_its_time_was_set_back(study):
    run = RunDir(study / "r1")
    facts = run.result.stat()
    run.result.write_text(run.result.read_text().replace("0.9", "0.8"))
    os.utime(run.result, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert load(study).runs["test_accuracy"].to_list() == [0.9, 0.8, 0.9, 0.9]


@pytest.mark.parametrize("change", ["appended", "replaced", "same size", "removed", "added", "failed"])
def test_a_changed_run_is_seen(study, run_at, change):
    run = RunDir(study / "r2")
    if change == "appended":
        append(run)
    elif change == "replaced":
        run.write_result("failed", exit_code=1, reason="late")
    elif change == "same size":
        run.result.write_text(run.result.read_text().replace("0.9", "0.7"))
    elif change == "removed":
        run.result.unlink()
    elif change == "added":
        run_at(study / "r9")
    else:
        run.result.unlink()
        write_json(run.failure(0), {"rank": 0, "reason": "out of memory"})
    before, after = load(study, cache=False), load(study)
    same(before, after)
    same(load(study), after)


def test_a_change_within_the_resolution_of_file_times_is_seen(study):
    """A run that was written just now is not taken from the cache: its next change may look the same."""
    run = RunDir(study / "r2")
    for text in ("0.7", "0.6"):
        facts = run.result.stat()
        content = run.result.read_text()
        run.result.write_text(content.replace(content[content.index("accuracy") + 11 :][:3], text))
        os.utime(run.result, ns=(facts.st_atime_ns, time.time_ns()))
        assert load(study).runs["test_accuracy"].to_list() == [0.9, 0.9, float(text), 0.9]


def test_a_removed_run_is_gone(study):
    shutil.rmtree(study / "r0")
    assert list(load(study).runs["run"]) == ["r1", "r2", "r3"]


def test_other_metrics_come_and_go_as_without_a_cache(study):
    """Columns that nobody has given a type get it from all rows: a run that changes may change it."""
    for values in ({"top5": 1}, {"top5": 0.5}, {"top5": "many"}):
        append(RunDir(study / "r1"), metrics=values)
        settle(study)
        same(load(study), load(study, cache=False))
        same(load(study), load(study, cache=False))
    lines = RunDir(study / "r1").epochs(0)
    lines.write_text("".join(line for line in lines.open() if "top5" not in line))
    assert "metric_top5" not in load(study).epochs
    same(load(study), load(study, cache=False))


@pytest.mark.parametrize("damage", ["empty", "cut off", "a bit", "no archive", "another's", "a directory"])
def test_a_damaged_file_is_as_good_as_none(study, kept, damage):
    (file,) = kept.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "a bit":
        content[len(content) // 2] ^= 1
    changed = {"empty": b"", "cut off": content[: len(content) // 2], "a bit": content, "no archive": b"\x93NUMPY"}
    if damage == "a directory":
        file.unlink()
        file.mkdir()
    elif damage == "another's":
        np.savez(file, facts=np.zeros(3))
    else:
        file.write_bytes(changed[damage])
    same(load(study), load(study, cache=False))


def test_nothing_is_kept_where_nothing_can_be(study, kept):
    (file,) = kept.iterdir()
    file.unlink()
    kept.rmdir()
    kept.write_text("in the way")
    same(load(study), load(study, cache=False))


def test_a_small_study_leaves_no_file(run_in, kept, tmp_path):
    run_in("r1")
    settle(tmp_path)
    load(tmp_path / "scale")
    assert not kept.exists()


def test_without_the_cache_none_is_read_or_written(study, kept):
    (file,) = kept.iterdir()
    file.write_bytes(b"")
    load(study, cache=False)
    assert file.read_bytes() == b""


def test_files_that_nobody_used_for_a_month_go(study, kept):
    old = kept / "old.npz"
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    for number in range(4):
        append(RunDir(study / f"r{number}"))
    load(study)
    assert not old.exists()
    assert len(list(kept.iterdir())) == 1


def test_several_may_load_and_write_at_once(study, kept):
    expected = load(study, cache=False)
    found: list[RunData] = []

    def again() -> None:
        for _ in range(4):
            for file in kept.glob("*.npz"):
                file.unlink(missing_ok=True)
            found.append(load(study))

    threads = [threading.Thread(target=again) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    for data in found:
        same(data, expected)
    assert [file.suffix for file in kept.iterdir()] == [".npz"]


def test_what_is_wrong_with_runs_is_told_by_the_cache_too(run_at, tmp_path, kept):
    """A last line that is cut off, a newer version, half a run, two versions mixed: by name; the rest counts."""
    folder = tmp_path / "scale"
    runs = [run_at(folder / f"r{number}", seconds=[1.0] * EPOCHS) for number in range(5)]
    with runs[1].epochs(0).open("a") as file:
        file.write('{"rank": 0, "epo')
    write_json(runs[2].provenance, {"schema": SCHEMA_VERSION + 1})
    runs[3].result.unlink()
    write_json(runs[4].spec, {**json.loads(runs[4].spec.read_text()), "hpcnn": "0.0.1"})
    settle(folder)
    first, second = load(folder), load(folder)
    same(first, second)
    same(first, load(folder, cache=False))
    problems = second.runs["problem"].to_list()
    assert pd.isna(problems[0])
    assert problems[1] == "epochs.rank00000.jsonl: the last line is cut off"
    assert "newer than this hpcnn reads" in problems[2]
    assert second.runs["status"].to_list()[3] == "unfinished"
    assert second.runs["hpcnn"].to_list() == ["0.1.0"] * 4 + ["0.0.1"]
    assert len(second.epochs) == 5 * (EPOCHS + 1)
