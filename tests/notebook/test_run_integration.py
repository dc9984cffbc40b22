"""``hpcnn.run`` trains in a process of its own: the record, its errors, and its result as text and as HTML."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import hpcnn
from hpcnn.util.errors import RunError
from tests.notebook.functions import local_functions

OPTIONS = {"samples": 300, "progress": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> hpcnn.Result:
    """Return a training of functions of this file, networks kept."""
    pytest.importorskip("tensorflow", reason="a training needs TensorFlow (make venv)")
    folder = tmp_path_factory.mktemp("own")
    build, load = local_functions(5)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result: hpcnn.Result = hpcnn.run(build, load, epochs=3, batch_size=10, checkpoint=True, progress=False)
        assert result.network().count_params() == 16 * 5 + 5 + 5 * 3 + 3  # read again from the same folder
    return result


def test_functions_of_a_notebook_are_trained_and_recorded(trained: hpcnn.Result) -> None:
    train = json.loads((trained.run_dir / "spec.json").read_text())["train"]
    assert re.fullmatch(r"runs/functions/build-[0-9a-f]{8}\.pkl:build", train["model"])
    assert re.fullmatch(r"runs/functions/load-[0-9a-f]{8}\.pkl:load", train["data"])
    assert trained.run_dir.parent.name == "build"


def test_a_result_has_what_the_record_says(trained: hpcnn.Result) -> None:
    record = json.loads((trained.run_dir / "result.json").read_text())
    lines = [json.loads(line) for line in (trained.run_dir / "epochs.rank00000.jsonl").read_text().splitlines()]
    assert trained.status == "completed"
    assert trained.test_accuracy == record["test"]["accuracy"]
    assert trained.test_loss == record["test"]["loss"]
    assert list(trained.epochs.index) == [1, 2, 3]
    assert list(trained.epochs["seconds"]) == [line["seconds_total"] for line in lines]
    assert list(trained.epochs["test_accuracy"]) == [line["validation"]["accuracy"] for line in lines]
    assert list(trained.epochs["accuracy"]) == [line["metrics"]["accuracy"] for line in lines]
    expected = 80 / sum(line["seconds_total"] for line in lines[1:])
    assert trained.images_per_second == pytest.approx(expected)
    assert trained.weights == trained.run_dir / "checkpoints" / "epoch-003.keras"
    assert "epoch 3/3" in trained.log


def test_a_result_shows_itself(trained: hpcnn.Result) -> None:
    text, page = repr(trained), trained._repr_html_()
    assert "completed; test accuracy" in text
    assert "1 rank (serial)" in text
    assert str(trained.run_dir) in text
    assert re.findall(r"<tr><td>(\d+)</td>", page) == ["1", "2", "3"]
    assert f"<td>{trained.test_accuracy:.2%}</td>" in page
    assert page.count("data:image/png;base64,iVBOR") == 1


def test_a_result_without_matplotlib_has_its_table(trained: hpcnn.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "<img" not in trained._repr_html_()
    assert "<td>3</td>" in trained._repr_html_()


def test_what_a_result_shows_is_escaped_and_short(trained: hpcnn.Result, tmp_path: Path) -> None:
    path = tmp_path / "<b>run"
    shutil.copytree(trained.run_dir, path)
    file = path / "epochs.rank00000.jsonl"
    line = json.loads(file.read_text().splitlines()[-1])
    file.write_text("".join(json.dumps({**line, "epoch": epoch}) + "\n" for epoch in range(1, 41)))
    page = hpcnn.Result(path)._repr_html_()
    assert "<b>run" not in page
    assert "&lt;b&gt;run" in page
    assert re.findall(r"<tr><td>(\d+)</td>", page) == [str(n) for n in (*range(1, 7), *range(35, 41))]
    assert "28 more epochs" in page


def test_a_run_that_goes_on_has_a_result(trained: hpcnn.Result, tmp_path: Path) -> None:
    path = tmp_path / "unfinished"
    shutil.copytree(trained.run_dir, path)
    (path / "result.json").unlink()
    (path / "epochs.rank00000.jsonl").write_text("")
    result = hpcnn.Result(path)
    assert (result.status, result.test_accuracy, result.images_per_second) == ("unfinished", None, None)
    assert len(result.epochs) == 0
    assert "unfinished" in result._repr_html_()


def test_a_training_that_fails_says_why_with_the_end_of_its_log(here: Path) -> None:
    pytest.importorskip("tensorflow", reason="a training needs TensorFlow (make venv)")

    def broken(input_shape: Any) -> Any:
        raise ZeroDivisionError("no model today")

    with pytest.raises(RunError) as caught:
        hpcnn.run(broken, name="bad", **OPTIONS)
    message = str(caught.value)
    assert message.startswith("the training failed: ZeroDivisionError: no model today\nrun directory: ")
    assert message.endswith("in broken\nZeroDivisionError: no model today")
    (path,) = (here / "runs" / "bad").iterdir()
    assert hpcnn.Result(path).status == "failed"


def test_progress_outside_a_notebook_is_the_log(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hpcnn.run("scinet-neuron", "blobs", epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("run directory: ")
    assert lines[-1].startswith("test: loss")


def test_the_tables_of_a_report_show_themselves(trained: hpcnn.Result) -> None:
    page = hpcnn.report.load(trained.run_dir)._repr_html_()
    assert page.count("<table") == 2
    assert "<strong>epochs</strong>, 3 rows" in page
