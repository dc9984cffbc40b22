import json
import os
from pathlib import Path

import pandas as pd
import pytest

from hpcnn.analysis.load import EPOCH_COLUMNS, RUN_COLUMNS
from hpcnn.report import load
from hpcnn.rundir.layout import RunDir
from hpcnn.util.errors import UsageError
from hpcnn.util.files import write_json
from tests.closed import as_another_user, shared_folder
from tests.synthetic.runs import write_run


def only(tmp_path: Path) -> pd.Series:
    (row,) = load(tmp_path).runs.to_dict("records")
    return pd.Series(row)


def test_a_run_is_one_row_of_facts(run_in, tmp_path):
    run = run_in("r1", ranks=2, accuracy=0.8, train={"learning_rate": 0.1}, repeat=3)
    row = only(tmp_path)
    assert row["path"] == str(run.path)
    expected = {
        "run": "r1",
        "study": "scale",
        "kind": "strong",
        "point_ntasks": 2,
        "repeat": 3,
        "model": "cnn",
        "data": "digits",
        "samples": 1000,
        "strategy": "horovod",
        "precision": "float32",
        "nodes": 1,
        "ntasks": 2,
        "world_size": 2,
        "cpus_per_task": 1,
        "batch_size": 100,
        "seed": 1,
        "status": "completed",
        "exit_code": 0,
        "test_accuracy": 0.8,
        "test_loss": 0.5,
        "parameters": 10,
        "host": "c1",
        "cpu_model": "Model C CPU",
        "device": "CPU",
        "hpcnn": "0.1.0",
        "train_learning_rate": 0.1,
        "version_keras": "3.15.1",
    }
    assert {key: row[key] for key in expected} == expected
    assert pd.isna(row["problem"])
    assert pd.isna(row["reason"])


def test_an_epoch_is_one_row_a_rank(run_in, tmp_path):
    run = run_in("r1", ranks=2, seconds=[(3.0, 5.0)])
    epochs = load(tmp_path).epochs
    assert list(zip(epochs["epoch"], epochs["rank"], epochs["seconds_total"], strict=True)) == [
        (1, 0, 100.0),
        (2, 0, 3.0),
        (1, 1, 100.0),
        (2, 1, 5.0),
    ]
    assert set(epochs["path"]) == {str(run.path)}
    assert set(epochs["samples"]) == {500}
    assert set(epochs["validation_accuracy"]) == {0.6}
    assert set(epochs["metric_accuracy"]) == {0.5}


def test_what_was_done_goes_before_what_was_asked(run_in, tmp_path):
    run = run_in("r1", samples=1000, train={"samples": None, "optimizer": None})
    provenance = json.loads(run.provenance.read_text())
    write_json(run.provenance, {**provenance, "samples": 899, "train": {"optimizer": "adam"}})
    row = only(tmp_path)
    assert row["samples"] == 899
    assert row["train_optimizer"] == "adam"


def test_order_and_repetition_of_directories_do_not_matter(run_in, tmp_path):
    for name in ("b", "a", "c"):
        run_in(name)
    whole = load(tmp_path)
    pieces = [tmp_path / "scale" / name for name in ("c", "a", "b")]
    again = load(*pieces, tmp_path / "scale", str(pieces[0]))
    pd.testing.assert_frame_equal(whole.runs, again.runs)
    pd.testing.assert_frame_equal(whole.epochs, again.epochs)
    assert list(whole.runs["run"]) == ["a", "b", "c"]


def test_a_run_is_not_descended_into(run_in, tmp_path):
    run = run_in("r1")
    run_in("r1/checkpoints/r2")
    assert list(load(tmp_path).runs["run"]) == ["r1"]
    assert list(load(run.path).runs["run"]) == ["r1"]


@pytest.mark.parametrize("mark", ["spec.json", "result.json", "epochs.rank00000.jsonl"])
def test_any_of_three_files_marks_a_run(tmp_path, mark):
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1" / mark).write_text("")
    assert list(load(tmp_path).runs["run"]) == ["r1"]


@pytest.mark.parametrize("status", ["completed", "failed", "interrupted"])
def test_the_status_is_that_of_the_result(run_in, tmp_path, status):
    run_in("r1", status=status)
    assert only(tmp_path)["status"] == status


def test_without_result_a_run_is_unfinished(run_in, tmp_path):
    run_in("r1", status=None)
    assert only(tmp_path)["status"] == "unfinished"


def test_an_unclosed_run_tells_the_reason_that_a_rank_left(run_in, tmp_path):
    run = run_in("r1", status=None)
    write_json(run.failure(1), {"rank": 1, "reason": "ValueError: no such layer"})
    assert only(tmp_path)["reason"] == "ValueError: no such layer"


def test_a_last_line_cut_off_costs_that_line_only(run_in, tmp_path):
    run = run_in("r1", seconds=[5.0, 6.0])
    text = run.epochs(0).read_text()
    run.epochs(0).write_text(text[:-20])
    data = load(tmp_path)
    assert list(data.epochs["epoch"]) == [1, 2]
    lost = "epoch 3: not recorded by each of 1 processes, left out"
    assert data.runs["problem"][0] == f"epochs.rank00000.jsonl: the last line is cut off; {lost}"


def test_unreadable_lines_are_counted(run_in, tmp_path):
    run = run_in("r1", seconds=[5.0, 6.0])
    first, *others = run.epochs(0).read_text().splitlines()
    run.epochs(0).write_bytes(b"\xff\x00 garbage\n" + "\n".join(["[1]", '{"epoch": "x"}', first, *others]).encode())
    data = load(tmp_path)
    assert list(data.epochs["epoch"]) == [1, 2, 3]
    assert data.runs["problem"][0] == "epochs.rank00000.jsonl: 3 of 6 lines are unreadable"


def test_an_epoch_written_twice_counts_once(run_in, tmp_path):
    run = run_in("r1", seconds=[5.0])
    text = run.epochs(0).read_text()
    run.epochs(0).write_text(text + text.splitlines()[1].replace("5.0", "7.0", 1) + "\n")
    data = load(tmp_path)
    assert list(data.epochs["seconds_total"]) == [100.0, 7.0]
    assert "epoch 2 is recorded more than once" in data.runs["problem"][0]


@pytest.mark.parametrize("name", ["spec.json", "provenance.json", "result.json"])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"schema": 1, "stat', "not a whole JSON object"),
        ("[1, 2]", "not a whole JSON object"),
        ('{"schema": 2, "status": "completed"}', "schema 2 is newer than this hpcnn reads (1)"),
        ('{"status": "completed"}', "schema None is not a version"),
    ],
)
def test_a_damaged_or_newer_file_is_named_and_the_rest_counted(run_in, tmp_path, name, text, problem):
    (run_in("r1").path / name).write_text(text)
    run_in("r2")
    data = load(tmp_path)
    assert data.runs["problem"][0] == f"{name}: {problem}"
    assert data.runs["problem"].isna()[1]
    assert set(data.epochs["run"]) == {"r1", "r2"}
    assert data.runs["status"][0] == ("unreadable" if name == "result.json" else "completed")


@pytest.mark.parametrize(
    "spec",
    [
        {"resources": None, "train": [], "point": 3, "program": {}},
        {"resources": {"ntasks": "two", "nodes": 10**30}, "repeat": True, "study": ["a"], "kind": 1.5},
    ],
)
def test_values_of_a_wrong_type_are_no_traceback(run_in, tmp_path, spec):
    run = run_in("r1", **spec)
    write_json(run.provenance, {"schema": 1, "hosts": 3, "devices": {}, "versions": [], "world_size": 1.5})
    (run.path / "epochs.rank00001.jsonl").write_text('{"epoch": 1, "seconds_total": "x", "samples": 1e400}\n')
    data = load(tmp_path)
    assert data.runs["world_size"].isna().all()
    assert data.epochs["seconds_total"].isna().sum() == 1
    assert {key: str(dtype) for key, dtype in data.runs.dtypes.items() if key in RUN_COLUMNS} == RUN_COLUMNS


def test_missing_files_are_told(run_in, tmp_path):
    run = run_in("r1")
    run.spec.unlink()
    run.provenance.unlink()
    assert only(tmp_path)["problem"] == "spec.json: missing; provenance.json: missing"


def test_an_epoch_that_a_process_lacks_is_told(run_in, tmp_path):
    run = run_in("r1", ranks=2, seconds=[5.0, 6.0])
    run.epochs(1).write_text("".join(run.epochs(1).read_text().splitlines(keepends=True)[:2]))
    assert only(tmp_path)["problem"] == "epoch 3: not recorded by each of 2 processes, left out"


def test_a_mirrored_process_writes_for_all_its_replicas(run_in, tmp_path):
    run_in("r1", ranks=4, processes=1, strategy="mirrored")
    row = only(tmp_path)
    assert (row["world_size"], row["ntasks"]) == (4, 1)
    assert pd.isna(row["problem"])


def test_dtypes_hold_without_any_epoch_and_without_any_value(tmp_path):
    (tmp_path / "r1").mkdir()
    write_json(RunDir(tmp_path / "r1").spec, {"schema": 1})
    data = load(tmp_path)
    assert {key: str(dtype) for key, dtype in data.epochs.dtypes.items()} == EPOCH_COLUMNS
    assert {key: str(dtype) for key, dtype in data.runs.dtypes.items()} == RUN_COLUMNS
    assert data.epochs.empty


def test_columns_of_one_run_are_kept_for_all(run_in, tmp_path):
    run_in("a", point={"batch": 32, "layout": {"x": 1}})
    run_in("b", point={"fusion": "auto"})
    runs = load(tmp_path).runs
    assert runs["point_batch"].tolist() == [32, pd.NA]
    assert runs["point_layout"][0] == '{"x": 1}'
    assert runs["point_fusion"][1] == "auto"


def test_what_holds_no_run_is_refused_by_name(run_in, tmp_path):
    run_in("r1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty' holds no run directory"):
        load(tmp_path / "scale", tmp_path / "empty")
    with pytest.raises(UsageError, match=r"DIR: there is no file or folder '.*absent'; expected"):
        load(tmp_path / "absent")


def test_a_closed_directory_is_listed_as_unreadable():
    with shared_folder() as folder:
        write_run(folder / "r1")
        (folder / "closed").mkdir(mode=0)
        with as_another_user():
            runs = load(folder).runs.set_index("run")
    assert runs.loc["closed", "status"] == "unreadable"
    assert "spec.json: Permission denied" in runs.loc["closed", "problem"]


def test_texts_that_utf8_cannot_hold_are_read_all_the_same(tmp_path):
    folder = os.fsencode(tmp_path) + b"/run-\xff"
    write_run(Path(os.fsdecode(folder)), study="\ud800 half a character")
    for _ in range(2):  # the second time from the cache
        data = load(tmp_path)
        assert data.runs["run"].tolist() == ["run-\\udcff"]
        assert data.runs["study"].tolist() == ["\\ud800 half a character"]
        assert set(data.epochs["path"]) == set(data.runs["path"])
