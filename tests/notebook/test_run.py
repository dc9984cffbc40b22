"""`hpcnn.run`: a training from Python, its errors, and its result as text and as HTML."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hpcnn
from hpcnn.util import pickled
from hpcnn.util.errors import RunError, UsageError

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {"samples": 300, "progress": False}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPCNN_RUNS", raising=False)
    return tmp_path


def local_functions(width: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return a model and a data set that no other process can import, and that refer to a value and to each other."""

    def load() -> Any:
        import numpy as np

        x = np.random.default_rng(1).random((60, 4, 4, 1)).astype("float32")
        return (x[:40], np.arange(40) % 3), (x[40:], np.arange(20) % 3)

    def build(input_shape: tuple[int, ...], classes: int) -> Any:
        import keras

        assert input_shape == load()[0][0].shape[1:]
        layers = [keras.layers.Flatten(), keras.layers.Dense(width), keras.layers.Dense(classes, "softmax")]
        return keras.Sequential([keras.Input(input_shape), *layers])

    return build, load


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> hpcnn.Result:
    """Return a training of functions of this file, networks kept."""
    pytest.importorskip("tensorflow", reason="a training needs TensorFlow (make venv)")
    folder = tmp_path_factory.mktemp("own")
    build, load = local_functions(5)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("HPCNN_RUNS", raising=False)
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


def test_what_is_no_run_has_no_result(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UsageError, match=r"run_dir: .* is not valid; expected a run directory"):
            hpcnn.Result(path)


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


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"epoch": 3}, r"keyword: 'epoch' is not known. Did you mean 'epochs'\? Valid: model, data, ranks, .*seed"),
        ({"ntasks": 2}, "keyword: 'ntasks' is not known"),
        ({"batch_size": 0}, "batch_size: 0 is not valid; expected at least 1"),
        ({"epochs": "many"}, "epochs: 'many' is not valid; expected a whole number"),
        ({"ranks": 0}, "ranks: 0 is not valid"),
        ({"ranks": 2, "strategy": "mirrored"}, "ranks: 2 is not valid; expected 1 with strategy mirrored"),
        ({"model": "scinet-cnn"}, "'scinet-cnn' is not known. Did you mean 'scinet-cnn2'"),
        ({"data": "digit"}, "'digit' is not known. Did you mean 'digits'"),
        ({"model": 3}, "model: 3 is not valid; expected a name, or a function"),
        ({"data": [1]}, r"data: \[1\] is not valid; expected a name, or a function"),
    ],
)
def test_mistakes_are_said_before_anything_runs(keywords: dict[str, Any], words: str, here: Path) -> None:
    with pytest.raises(UsageError, match=words):
        hpcnn.run(**keywords)
    assert not list(here.iterdir())


def test_functions_of_modules_keep_their_names(tmp_path: Path) -> None:
    assert pickled.name_of(json.dumps, tmp_path) == "json:dumps"
    assert not list(tmp_path.iterdir())


def test_the_same_function_is_the_same_file_and_another_is_another(here: Path) -> None:
    first, again, other = (pickled.name_of(local_functions(width)[0], here) for width in (5, 5, 6))
    assert first == again != other
    assert pickled.read("--model", first).__name__ == "build"
    assert pickled.name_of(lambda: 3, here).endswith(".pkl:function")


def test_a_cell_is_the_same_file_in_every_kernel(here: Path) -> None:
    cell = "def f(x):\n    return [y + ONE for y in x]\nONE = 1\n"
    script = f"import sys\nexec(compile({cell!r}, sys.argv[1], 'exec'))\n"
    script += "from pathlib import Path\nfrom hpcnn.util.pickled import name_of\nprint(name_of(f, Path('kept')))\n"
    names = set()
    for file in ("/tmp/ipykernel_1/2.py", "/tmp/ipykernel_7/2.py"):  # as ipykernel names a cell: by its process
        words = [sys.executable, "-c", script, file]
        names.add(subprocess.run(words, env=environment(), capture_output=True, text=True, check=True).stdout)
    assert len(names) == 1


def test_what_cannot_be_given_to_a_process_is_said(here: Path) -> None:
    lock = threading.Lock()

    def build() -> Any:
        return lock

    with pytest.raises(UsageError, match=r"build: this function cannot be given to another process: .*%%writefile"):
        hpcnn.run(build)
    with pytest.raises(UsageError, match=r"--data: 'gone.pkl:f': there is no file '.*gone.pkl'"):
        pickled.read("--data", "gone.pkl:f")


def test_the_process_that_calls_it_stays_light() -> None:
    script = "import sys, hpcnn\nhpcnn.run\nprint([m for m in ('tensorflow', 'keras', 'pandas') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True)
    assert (ended.stdout.strip(), ended.stderr) == ("[]", "")


def test_progress_outside_a_notebook_is_the_log(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hpcnn.run("scinet-neuron", "blobs", epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("run directory: ")
    assert lines[-1].startswith("test: loss")


def test_the_tables_of_a_report_show_themselves(trained: hpcnn.Result) -> None:
    page = hpcnn.analysis.load(trained.run_dir)._repr_html_()
    assert page.count("<table") == 2
    assert "<strong>epochs</strong>, 3 rows" in page


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
