"""Exports hold the numbers of the runs, and an archive gives them back."""

import gzip
import importlib
import io
import json
import tarfile

import pandas as pd
import pytest

from hpcnn.cli import scaling_report
from hpcnn.report import load, scaling_table
from hpcnn.report.exports import FORMS, export
from hpcnn.util.errors import UsageError


@pytest.fixture
def study(run_in, tmp_path):
    """Write two runs of one rank and one of two, with events."""
    for name, ranks, seconds in (("a", 1, [10.0, 10.0]), ("b", 1, [12.0, 12.0]), ("c", 2, [6.0, 6.0])):
        run = run_in(name, ranks=ranks, seconds=seconds, repeat=1 + (name == "b"))
        events = [
            ("run_start", 2.0, None, {}),
            ("epoch_start", 3.0, 1, {}),
            ("eval_stop", 5.5, None, {"accuracy": 0.75}),
            ("run_stop", 9.0, "completed", {}),
        ]
        lines = (
            {"key": key, "seconds": at, "time": "2026-01-01T00:00:02Z", "value": value, "metadata": metadata}
            for key, at, value, metadata in events
        )
        run.events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "scale"


def exported(form, study, file):
    data = load(study)
    export(form, file, data, scaling_table(data))
    return file


def test_the_command_knows_all_forms():
    assert tuple(FORMS) == scaling_report.EXPORTS


def test_extrap_json(study, tmp_path):
    found = json.loads(exported("extrap-json", study, tmp_path / "out.json").read_text())
    assert found["parameters"] == ["ranks"]
    (series,) = found["measurements"].values()
    assert series == {"seconds_per_epoch": [{"point": [1], "values": [10, 12]}, {"point": [2], "values": [6]}]}


def test_extrap_text(study, tmp_path):
    lines = exported("extrap-text", study, tmp_path / "out.txt").read_text().splitlines()
    assert lines == [
        "PARAMETER ranks",
        "POINTS (1) (2)",
        "METRIC seconds_per_epoch",
        "REGION scale: strong scaling of cnn on digits",
        "DATA 10.0 12.0",
        "DATA 6.0",
    ]


@pytest.mark.parametrize(("form", "reader"), [("extrap-json", "json"), ("extrap-text", "text")])
def test_extrap_reads_both(study, tmp_path, form, reader):
    pytest.importorskip("extrap", reason="pip install extrap")
    module = importlib.import_module(f"extrap.fileio.file_reader.{reader}_file_reader")
    experiment = getattr(module, f"{reader.capitalize()}FileReader")().read_experiment(
        exported(form, study, tmp_path / "out")
    )
    (measurements,) = experiment.measurements.values()
    assert [(one.coordinate[0], one.median) for one in measurements] == [(1, 11), (2, 6)]


def test_text_cannot_hold_series_of_different_sizes(study, tmp_path, run_in):
    run_in("other", ranks=4, study="another")
    with pytest.raises(UsageError, match="use extrap-json"):
        exported("extrap-text", study, tmp_path / "out.txt")


def test_mllog(study, tmp_path):
    text = exported("mllog", study, tmp_path / "out.log").read_text().splitlines()
    assert all(line.startswith(":::MLLOG {") for line in text)
    lines = [json.loads(line.removeprefix(":::MLLOG ")) for line in text]
    of_a = [line for line in lines if line["namespace"] == "a"]
    assert [line["key"] for line in of_a][3:] == ["run_start", "epoch_start", "eval_stop", "eval_accuracy", "run_stop"]
    assert of_a[1]["value"] == 100
    start, *_, accuracy, stop = of_a[3:]
    assert (start["event_type"], stop["event_type"]) == ("INTERVAL_START", "INTERVAL_END")
    assert stop["time_ms"] - start["time_ms"] == 7000
    assert stop["metadata"]["status"] == "success"
    assert (accuracy["value"], accuracy["metadata"]) == (0.75, {"epoch_num": 1})


def test_runs_without_events_are_not_in_mllog(study, tmp_path):
    for name in ("a", "b"):
        (study / name / "events.jsonl").unlink()
    text = exported("mllog", study, tmp_path / "out.log").read_text().splitlines()
    assert {json.loads(line.removeprefix(":::MLLOG "))["namespace"] for line in text} == {"c"}
    (study / "c" / "events.jsonl").unlink()
    with pytest.raises(UsageError, match="no run has a log of events"):
        exported("mllog", study, tmp_path / "out.log")


def test_an_archive_gives_the_same_table(study, tmp_path, monkeypatch):
    monkeypatch.setenv("HPCNN_CACHE", str(tmp_path / "cache"))
    file = exported("archive", study, tmp_path / "runs.tar.gz")
    pd.testing.assert_frame_equal(scaling_table(load(file)), scaling_table(load(study)))
    assert exported("archive", study, tmp_path / "again.tar.gz").read_bytes() == file.read_bytes()


def test_an_archive_that_was_changed_is_refused(study, tmp_path, monkeypatch):
    monkeypatch.setenv("HPCNN_CACHE", str(tmp_path / "cache"))
    file = exported("archive", study, tmp_path / "runs.tar.gz")
    # a number of the same length: the tar stays whole
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).replace(b"12.0", b"11.0")))
    with pytest.raises(UsageError, match="is not as its sum says"):
        load(file)


@pytest.mark.parametrize("content", [b"nothing", gzip.compress(b"nothing", mtime=0)], ids=["text", "gzip"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.tar\.gz"):
        load(tmp_path / "x.tar.gz")


def test_an_archive_cannot_write_elsewhere(tmp_path, monkeypatch):
    import hashlib
    import io

    monkeypatch.setenv("HPCNN_CACHE", str(tmp_path / "cache"))
    content = b"{}"
    sums = f"{hashlib.sha256(content).hexdigest()}  ../../out.json\n".encode()
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        for name, data in (("SHA256SUMS", sums), ("../../out.json", content)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    with pytest.raises(UsageError, match="no record of a run"):
        load(tmp_path / "x.tar.gz")
    assert not list(tmp_path.rglob("out.json"))


def test_thicket_has_a_tree_of_parts_for_each_run_and_rank(study, tmp_path):
    folder = exported("thicket", study, tmp_path / "thicket")
    runs = [json.loads(file.read_text()) for file in sorted(folder.iterdir())]
    facts = [(run["run"], run["ranks"], run["batch_size"]) for run in runs]
    assert facts == [("a", 1, 100), ("b", 1, 100), ("c", 2, 100)]
    last = runs[-1]
    assert (last["data_set"], last["number_of_nodes"]) == ("digits", 1)
    assert [cell["is_value"] for cell in last["column_metadata"]] == [True, False, True, True, True, True, True]
    labels = [node["label"] for node in last["nodes"]]
    assert [row[0] for row in last["data"]] == 2 * list(range(len(labels)))
    rows = {(labels[row[1]], row[2]): row[3:] for row in last["data"]}
    # two measured epochs of 6 s: half compute, a quarter communication, a tenth input, the rest other
    assert rows["epoch", 1] == pytest.approx([0.0, 12.0, 2, 1000])
    assert rows["compute", 0][0] == pytest.approx(6.0)
    assert rows["communication", 1][0] == pytest.approx(3.0)
    assert rows["training", 0][:2] == pytest.approx([0.0, 12.0 + 2000.0])
    parents = {node["label"]: labels[node["parent"]] for node in last["nodes"] if "parent" in node}
    assert parents["compute"] == "epoch"
    assert parents["epoch"] == parents["evaluation"] == "training"


def test_thicket_wants_a_new_folder(study, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(UsageError, match="is there already"):
        exported("thicket", study, tmp_path / "there")


@pytest.mark.parametrize("line", ['{"key": "a"}', "{}", '{"key": "a", "seconds": "x", "time": "y"}'])
def test_events_that_are_damaged(study, tmp_path, line):
    (study / "a" / "events.jsonl").write_text(line + "\n")
    with pytest.raises(UsageError, match=r"events\.jsonl is damaged"):
        exported("mllog", study, tmp_path / "out.log")


def test_an_archive_has_nothing_that_is_linked_to(study, tmp_path):
    """Whoever made the run may have linked a file to it that only its reader may read."""
    (tmp_path / "kaggle.json").write_text('{"key": "hush"}')
    (study / "a" / "mine.json").symlink_to(tmp_path / "kaggle.json")
    with tarfile.open(exported("archive", study, tmp_path / "out.tar.gz")) as tar:
        assert [name for name in tar.getnames() if "mine" in name] == []


def test_an_archive_that_unpacks_to_more_than_any_records(tmp_path, monkeypatch):
    monkeypatch.setattr("hpcnn.analysis.archive._MOST_BYTES", 1 << 20)
    with tarfile.open(tmp_path / "runs.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("a/spec.json")
        entry.size = 2 << 20
        tar.addfile(entry, io.BytesIO(bytes(2 << 20)))
    with pytest.raises(UsageError, match="it holds more than"):
        load(tmp_path / "runs.tar.gz")


def test_an_archive_has_no_secret_of_an_old_record(study, tmp_path):
    spec = json.loads((study / "a" / "spec.json").read_text())
    spec["software"] = {"env": {"MY_API_TOKEN": "hush", "NOTE": "x"}}
    (study / "a" / "spec.json").write_text(json.dumps(spec))
    with tarfile.open(exported("archive", study, tmp_path / "out.tar.gz")) as tar:
        (name,) = [name for name in tar.getnames() if name.endswith("a/spec.json")]
        packed = json.loads(tar.extractfile(name).read())
    assert packed["software"] == {"env": {"NOTE": "x"}, "pass_env": ["MY_API_TOKEN"]}
    assert {**packed, "software": spec["software"]} == spec
