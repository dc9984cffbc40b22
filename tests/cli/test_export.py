"""``hpcnn export``: what it writes gives the run's own outputs, or nothing is written."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hpcnn.cli.main import main
from hpcnn.train.export import _working_folder
from tests.kept_networks import USER

keras = pytest.importorskip("keras")

needs_onnx = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("onnx", "tf2onnx", "onnxruntime")),
    reason="ONNX needs: pip install 'hpcnn[export]'",
)


def export(*words: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, words)])


@pytest.fixture(scope="module")
def run(train_kept: Callable[..., Path]) -> Path:
    """Return a run in half precision with batch normalisation, dropout and pixels divided by 255."""
    words = (
        "--model",
        "psc-cnn-batchnorm",
        "--model-arg",
        "numfm=2",
        "--model-arg",
        "numnodes=4",
        "--pixel-scale",
        "unit",
    )
    some = ("--samples", 200, "--test-samples", 40, "--epochs", 2, "--precision", "bfloat16", "--checkpoint")
    path = train_kept("exported-run", *words, *some)
    keras.config.set_dtype_policy("float32")
    return path


@pytest.fixture(scope="module")
def several(train_kept: Callable[..., Path]) -> Path:
    """Return a run of a network with two inputs and two outputs."""
    words = ("--model", "scinet-two-inputs", "--data", "halves", "--model-arg", "numfm=2", "--model-arg", "numnodes=4")
    return train_kept("two-sided-run", *words, "--samples", 200, "--epochs", 1, "--checkpoint")


def wanted(run: Path, epoch: int = 2) -> tuple[Any, Any]:
    """Return test samples as the network takes them, and its outputs, by Keras alone."""
    from hpcnn.data.registry import load
    from hpcnn.models.registry import build

    keras.config.set_dtype_policy("float32")
    model = build("psc-cnn-batchnorm", arguments={"numfm": 2, "numnodes": 4})
    model.load_weights(run / "checkpoints" / f"epoch-{epoch:03d}.keras")
    samples = load("digits", test_samples=40).x_test[:16].astype(np.float32) / 255
    return samples, np.asarray(model(samples, training=False))


def test_as_keras(run: Path) -> None:
    done = export(run)
    assert done.exit_code == 0, done.output
    file = run / "exported" / "epoch-002.keras"
    assert done.stdout == f"{file}\n"
    assert "inputs: pixels divided by 255; outputs of a sample: 10; for 32 test samples they differ" in done.stderr
    samples, outputs = wanted(run)
    model = keras.saving.load_model(file)
    assert model.dtype_policy.name == "float32"
    np.testing.assert_allclose(np.asarray(model(samples, training=False)), outputs, atol=1e-6)
    assert list(file.parent.iterdir()) == [file]


def test_as_saved_model_of_an_earlier_epoch(run: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    folder = tmp_path / "digits"
    done = export(run, "--format", "saved-model", "--output", folder, "--epoch", 1)
    assert done.exit_code == 0, done.output
    samples, outputs = wanted(run, 1)
    loaded = tf.saved_model.load(str(folder))
    np.testing.assert_allclose(np.asarray(loaded.serve(samples)), outputs, atol=1e-6)
    assert not np.allclose(outputs, wanted(run)[1], atol=1e-3)
    again = export(run, "--format", "saved-model", "--output", folder)
    assert again.exit_code == 2
    assert "is there already; --force replaces it" in again.stderr
    assert export(run, "--format", "saved-model", "--output", folder, "--force").exit_code == 0
    loaded = tf.saved_model.load(str(folder))
    np.testing.assert_allclose(np.asarray(loaded.serve(samples)), wanted(run)[1], atol=1e-6)


@needs_onnx
def test_as_onnx(run: Path, tmp_path: Path) -> None:
    import onnxruntime

    file = tmp_path / "digits.onnx"
    done = export(run, "--format", "onnx", "--output", file)
    assert done.exit_code == 0, done.output
    samples, outputs = wanted(run)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: samples})
    np.testing.assert_allclose(found, outputs, atol=1e-5)


@pytest.mark.parametrize("form", ["keras", "saved-model", pytest.param("onnx", marks=needs_onnx)])
def test_several_inputs_and_outputs(form: str, several: Path) -> None:
    done = export(several, "--format", form)
    assert done.exit_code == 0, done.output
    assert "outputs of a sample: 10, 1" in done.stderr
    assert (several / "exported" / f"epoch-001.{form}").exists()


def test_other_outputs_are_an_error_and_leave_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hpcnn.train import export as room

    def write_another(model: Any, file: Path) -> None:
        weight = model.trainable_weights[-1]
        weight.assign(weight + np.arange(10))
        model.save(file)

    kept = tmp_path / "kept.keras"
    kept.write_text("an earlier export")
    monkeypatch.setitem(room._FORMS, "keras", (write_another, room._of_keras))
    for words in (("--output", tmp_path / "new.keras"), ("--output", kept, "--force")):
        done = export(run, *words)
        assert done.exit_code == 1
        assert "gives other outputs than the run's network: they differ by up to" in done.stderr
    assert kept.read_text() == "an earlier export"
    assert list(tmp_path.iterdir()) == [kept]


def test_a_network_that_cannot_be_read_again_is_an_error(
    train_kept: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Lambda layer: nobody could load the .keras file without trusting it."""
    path = train_kept("lambda-run", "--model", "own:with_code", "--samples", 100, "--epochs", 1, "--checkpoint")
    monkeypatch.chdir(USER)
    done = export(path, "--output", tmp_path / "x.keras")
    assert done.exit_code == 1
    assert "own:with_code cannot be exported as keras: " in done.stderr
    assert not list(tmp_path.iterdir())
    assert export(path, "--output", tmp_path / "x", "--format", "saved-model").exit_code == 0


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("{run}", "--output", "x.h5"), 2, "--output: 'x.h5' is not valid; expected a file name that ends in .keras"),
        (("{run}", "--output", "no/such/x.keras"), 2, "--output: there is no folder 'no/such'"),
        (("{run}", "--epoch", "7"), 2, "--epoch: 7 is not valid; expected an epoch whose network was kept: 1-2"),
        (("{run}", "--format", "saved-model", "--output", "{run}", "--force"), 2, "is a folder without a SavedModel"),
        (("nowhere",), 2, "RUN: "),
        (("{run}", "--format", "h5"), 2, "--format: 'h5' is not known. Valid: "),
    ],
)
def test_mistakes_are_said(words: tuple[str, ...], status: int, message: str, run: Path) -> None:
    done = export(*(word.format(run=run) for word in words))
    assert done.exit_code == status
    assert message in done.stderr


def test_a_missing_package_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = export(run, "--format", "onnx")
    assert done.exit_code == 1
    assert "hpcnn export --format onnx needs onnx" in done.stderr
    assert "pip install 'hpcnn[export]'" in done.stderr


def test_help_has_examples() -> None:
    assert "hpcnn export runs/first --format saved-model" in export("--help").stdout


class TestAnExportThatWasKilled:
    """Folders beside the target are what a kill leaves: of one that is at work they stay."""

    def test_the_next_one_removes_what_it_left(self, tmp_path: Path) -> None:
        (tmp_path / ".net.keras.abcd_12x" / "net.keras").mkdir(parents=True)
        (tmp_path / ".net.keras.mine").mkdir()  # no name of ours
        with _working_folder(tmp_path / "net.keras") as folder:
            assert folder.is_dir()
            with _working_folder(tmp_path / "net.keras"):
                assert folder.is_dir()
        assert [entry.name for entry in tmp_path.iterdir()] == [".net.keras.mine"]

    def test_what_was_to_be_replaced_comes_back(self, tmp_path: Path) -> None:
        (tmp_path / ".net.abcd_12x" / "earlier" / "variables").mkdir(parents=True)
        with _working_folder(tmp_path / "net"):
            assert (tmp_path / "net" / "variables").is_dir()
        assert [entry.name for entry in tmp_path.iterdir()] == ["net"]
