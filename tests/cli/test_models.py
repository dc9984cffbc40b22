"""``hpcnn models`` and ``hpcnn models show`` as a user calls them."""

import csv
import io
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.zoo.registry import RECIPES


def hpcnn(*words):
    return CliRunner().invoke(main, ["models", *words])


def succeed(*words):
    result = hpcnn(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def keras(monkeypatch):
    """Keras, imported before `show` sets its variables, which go again after the test."""
    keras = pytest.importorskip("keras")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    return keras


@pytest.mark.parametrize("words", [(), ("list",)])
def test_list_as_table(words):
    text = succeed(*words, "--wide")
    line = next(line for line in text.splitlines() if line.strip().startswith("psc-cnn-dropout"))
    for word in ("PSC, J. Urbanic", "28x28x1", "1,199,882", "sgd 0.01, momentum 0.9", "32", "15", "99.19 %"):
        assert word in line
    assert all(name in text for name in RECIPES)
    line = next(line for line in text.splitlines() if line.strip().startswith("horovod-mnist"))
    assert line.rstrip().endswith("–")


@pytest.mark.parametrize("words", [("--format", "json"), ("list", "--format", "json"), ("--format", "json", "list")])
def test_list_as_json(words):
    rows = json.loads(succeed(*words))
    assert [row["id"] for row in rows] == list(RECIPES)
    row = next(row for row in rows if row["id"] == "psc-cnn-batchnorm")
    assert (row["parameters"], row["trainable"]) == (1_200_778, 1_200_330)
    assert row["input_shape"] == [28, 28, 1]
    assert row["reported"]["test_accuracy"] == 0.9891
    assert row["optimizer"] == "sgd"
    assert row["source"].startswith("PSC")


def test_list_as_csv():
    rows = list(csv.DictReader(io.StringIO(succeed("--format", "csv"))))
    assert [row["id"] for row in rows] == list(RECIPES)
    row = next(row for row in rows if row["id"] == "scinet-cnn1")
    assert (row["parameters"], row["learning_rate"], row["samples"]) == ("289630", "0.01", "")
    assert json.loads(row["input_shape"]) == [28, 28, 1]


@pytest.mark.usefixtures("keras")
class TestShow:
    def test_as_table(self):
        text = succeed("show", "psc-cnn-batchnorm")
        assert "Two convolutions with batch normalization" in text
        assert "sgd 0.01, momentum 0.9; sparse_categorical_crossentropy; batch 32; 15 epochs" in text
        assert "test accuracy 0.9891" in text
        assert "its log ends at epoch 15 of 15" in text
        assert "1,200,778 parameters, 1,200,330 of them trainable." in text
        line = next(line for line in text.splitlines() if "1,179,776" in line)
        assert line.split()[1:] == ["Dense", "128", "1,179,776", "98.2", "%"]

    def test_as_json(self):
        rows = json.loads(succeed("show", "scinet-dense-dropout", "--format", "json"))
        assert [row["name"] for row in rows] == ["hidden", "dropout", "output"]
        assert [row["type"] for row in rows] == ["Dense", "Dropout", "Dense"]
        assert [row["parameters"] for row in rows] == [23_550, 0, 310]
        assert [row["output_shape"] for row in rows] == [[30], [30], [10]]
        assert [row["share_percent"] for row in rows] == [98.7, 0.0, 1.3]

    def test_as_csv(self):
        rows = list(csv.DictReader(io.StringIO(succeed("--format", "csv", "show", "scinet-functional"))))
        assert [row["name"] for row in rows] == ["input", "hidden", "output"]
        assert sum(int(row["parameters"]) for row in rows) == 23_860

    def test_with_another_shape_and_classes(self):
        words = ("show", "psc-cnn1", "--input-shape", "32,32,3", "--classes", "100", "--format", "json")
        rows = json.loads(succeed(*words))
        assert rows[0]["output_shape"] == [30, 30, 32]
        assert rows[-1]["parameters"] == 100 * 100 + 100

    def test_with_keywords(self):
        rows = json.loads(succeed("show", "psc-cnn1", "--model-arg", "numfm=3", "--format", "json"))
        assert rows[0]["output_shape"][-1] == 3
        rows = json.loads(succeed("show", "scinet-hidden", "--model-arg", "numnodes=7", "--format", "json"))
        assert rows[0]["output_shape"] == [7]
        result = hpcnn("show", "psc-cnn1", "--model-arg", "numfn=3")
        assert result.exit_code == 2
        assert "'numfn' is not known. Did you mean 'numfm'?" in result.stderr

    def test_of_keras_applications(self):
        words = ("keras.applications:MobileNet", "--model-arg", "alpha=0.25", "--model-arg", "weights=none")
        rows = json.loads(succeed("show", *words, "--input-shape", "32,32,1", "--classes", "7", "--format", "json"))
        assert rows[-1]["output_shape"] == [7]
        result = hpcnn("show", *words, "--input-shape", "28,28,1")
        assert result.exit_code == 2
        assert "Input size must be at least 32x32" in result.stderr

    @pytest.mark.parametrize("shape", ["", "a", "28,28,", "0,1", "-3"])
    def test_wrong_shape(self, shape):
        result = hpcnn("show", "psc-fc64", "--input-shape", shape)
        assert result.exit_code == 2
        assert "--input-shape" in result.stderr

    def test_unknown_model(self):
        result = hpcnn("show", "psc-cn1")
        assert result.exit_code == 2
        assert "Did you mean 'psc-cnn1'?" in result.stderr

    def test_own_function(self, tmp_path, monkeypatch):
        (tmp_path / "shown_net.py").write_text(
            "import keras\n"
            "def build(classes=2):\n"
            "    inputs = keras.Input((3,), name='values')\n"
            "    one = keras.layers.Dense(4, name='one')(inputs)\n"
            "    return keras.Model(inputs, keras.layers.Dense(classes, name='two')(one))\n"
            "def shapeless():\n"
            "    return keras.Sequential([keras.layers.Dense(2)])\n"
            "def wide(width):\n"
            "    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(width, name='wide')])\n"
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", sys.path.copy())
        rows = json.loads(succeed("show", "shown_net:build", "--classes", "5", "--format", "json"))
        assert [(row["name"], row["parameters"]) for row in rows] == [("values", 0), ("one", 16), ("two", 25)]
        assert "41 parameters, 41 of them trainable." in succeed(
            "show", "shown_net:build", "--classes", "5", "--format", "table"
        )
        rows = json.loads(succeed("show", "shown_net:wide", "--model-arg", "width=6", "--format", "json"))
        assert rows[-1]["output_shape"] == [6]
        result = hpcnn("show", "shown_net:shapeless")
        assert result.exit_code == 2
        assert "has no input shape" in result.stderr

    def test_without_keras(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "keras", None)
        result = hpcnn("show", "psc-fc64")
        assert result.exit_code == 2
        assert "pip install 'hpcnn[cpu]'" in result.stderr


def test_show_prints_nothing_of_tensorflow():
    pytest.importorskip("keras")
    command = [sys.executable, "-m", "hpcnn", "models", "show", "psc-fc64", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
    assert sum(row["parameters"] for row in json.loads(done.stdout)) == 55_050


@pytest.mark.parametrize("words", [(), ("list",), ("show",)])
def test_help_has_an_example(words):
    assert "Example:" in succeed(*words, "--help")
