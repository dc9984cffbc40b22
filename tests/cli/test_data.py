"""``hpcnn data``: what it prints, its errors and exit statuses, and staging with Keras's own loaders."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder of its own, empty."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("HPCNN_DATA", str(folder))
    return folder


def hpcnn(*words):
    return CliRunner().invoke(main, ["data", *words])


def rows(*words):
    result = hpcnn(*words, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def write_small_cifar(folder):
    rng = np.random.default_rng(1)
    file = folder / "cifar10.npz"
    np.savez(
        file,
        x_train=rng.integers(0, 200, (20, 32, 32, 3), dtype=np.uint8),
        y_train=np.arange(20)[::-1, None] % 10,
        x_test=rng.integers(0, 200, (5, 32, 32, 3), dtype=np.uint8),
        y_test=np.array([0, 0, 0, 9, 9])[:, None],
    )
    return file


# --- list


def test_list_says_what_is_staged(folder):
    file = write_small_cifar(folder)
    listed = {row["name"]: row for row in rows("list")}
    images = ["digits", "mnist", "fashion_mnist", "cifar10", "cifar100"]
    others = ["imdb", "reuters", "boston_housing", "california_housing"]
    assert list(listed) == [*images, "blobs", "circles", *others, "halves", "climate", "beach"]
    assert [name for name, row in listed.items() if row["staged"] == "yes"] == ["cifar10"]
    assert [name for name, row in listed.items() if row["staged"] == "no"] == [*images[1:3], "cifar100", *others]
    assert listed["cifar10"]["file"] == str(file)
    assert listed["mnist"] == {
        "name": "mnist",
        "train": 60000,
        "test": 10000,
        "shape": [28, 28, 1],
        "classes": 10,
        "staged": "no",
        "file": None,
        "model": "scinet-cnn1",
        "options": {},
        "description": "handwritten digits",
    }


def test_list_as_a_table_and_as_csv(folder):
    table = hpcnn("list").output
    assert str(folder) in table
    assert "28x28x1" in table
    assert "60,000" in table
    read = list(csv.DictReader(io.StringIO(hpcnn("list", "--format", "csv").stdout)))
    assert ",".join(row["classes"] for row in read) == "10,10,10,10,100,2,2,2,46,,,10,3,2"


# --- info


def test_info_of_a_staged_set(folder):
    file = write_small_cifar(folder)
    train, test = rows("info", "cifar10", "--samples", "11")
    assert (train["part"], train["samples"], train["shape"]) == ("train", 11, [32, 32, 3])
    assert train["dtype"] == "uint8"
    assert 0 <= train["min"] < train["max"] <= 199
    assert train["class_counts"] == [1, 1, 1, 1, 1, 1, 1, 1, 1, 2]
    assert test["class_counts"] == [3, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert train["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert train["file"] == str(file)
    assert "the first 11 of 20 training samples" in train["notes"]


def test_info_as_a_table_can_be_copied_from(folder):
    file = write_small_cifar(folder)
    lines = hpcnn("info", "cifar10").output.splitlines()
    assert f"  file:   {file}" in lines
    assert f"  sha256: {hashlib.sha256(file.read_bytes()).hexdigest()}" in lines
    assert any("2 each" in line for line in lines)


def test_info_of_the_expanded_digits():
    train, test = rows("info", "digits", "--samples", "3000")
    assert (train["samples"], test["samples"]) == (3000, 360)
    assert train["file"] is None
    assert sum(train["class_counts"]) == 3000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["info", "mnits"], "--data: 'mnits' is not known. Did you mean 'mnist'?"),
        (["stage", "cifar"], "--data: 'cifar' is not known."),
        (["info", "mnist"], "run 'hpcnn data stage mnist' on a login node"),
        (["info", "nowhere.npz"], "'nowhere.npz' is not valid; expected an .npz file"),
        (["info", "digits", "--samples", "-3"], "--samples: -3 is not valid; expected a whole number from 1"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(folder, words, message):
    result = hpcnn(*words)
    assert result.exit_code == 2
    assert message in result.output
    assert result.stdout == ""
    assert "Traceback" not in result.output


# --- stage


def test_digits_need_no_staging(folder):
    result = hpcnn("stage", "digits", "--format", "json")
    assert result.exit_code == 0
    assert "digits comes with scikit-learn and needs no staging" in result.stderr
    assert json.loads(result.stdout) == [{"name": "digits", "status": "built in", "file": None, "bytes": None}]
    assert not list(folder.iterdir())


def test_what_is_staged_is_left_alone(folder):
    file = write_small_cifar(folder)
    before = file.read_bytes()
    result = hpcnn("stage", "cifar10")
    assert result.exit_code == 0
    assert f"{file} is already staged (--force fetches it again)" in result.stderr
    assert file.read_bytes() == before


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    result = hpcnn("stage", "mnist", "--folder", str(tmp_path / "file" / "below"))
    assert result.exit_code == 1
    assert f"cannot make the folder {tmp_path / 'file' / 'below'}: Not a directory" in result.output


def keras_process(tmp_path, *words, blocks="unlimited"):
    """Run ``hpcnn data stage`` in a process whose Keras has its own home and cannot reach the internet.

    The proxy is a closed port of this machine, so that a download fails at once, and everywhere. ``blocks``
    is the largest file the process may write, in KiB.
    """
    proxies = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https", "HTTP", "HTTPS")}
    (tmp_path / "keras").mkdir(exist_ok=True)
    environment = {**os.environ, **proxies, "no_proxy": "", "KERAS_HOME": str(tmp_path / "keras")}
    command = ["bash", "-c", f'ulimit -f {blocks}; exec "$@"', "bash", sys.executable, "-m", "hpcnn"]
    return subprocess.run(
        [*command, "data", "stage", *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=Path(__file__).parents[2],
    )


def write_keras_cache(tmp_path, train=6, test=3):
    """Write files as Fashion-MNIST has them (IDX, gzip) where Keras looks before it downloads."""
    rng = np.random.default_rng(1)
    cache = tmp_path / "keras" / "datasets" / "fashion-mnist"
    cache.mkdir(parents=True)
    written = {}
    for key, part, count in (("train", "train", train), ("test", "t10k", test)):
        written[f"x_{key}"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        written[f"y_{key}"] = rng.integers(0, 10, count, dtype=np.uint8)
        for kind, dimensions, header in (("images", 3, 16), ("labels", 1, 8)):
            values = written[f"{'x' if kind == 'images' else 'y'}_{key}"]
            with gzip.open(cache / f"{part}-{kind}-idx{dimensions}-ubyte.gz", "wb") as stream:
                stream.write(bytes(header) + values.tobytes())
    return written


def test_a_set_is_staged_with_keras(tmp_path, folder):
    written = write_keras_cache(tmp_path)
    elsewhere = tmp_path.joinpath("shared", *["deep"] * 40)  # the message is wider than any terminal
    done = keras_process(tmp_path, "fashion_mnist", "--folder", str(elsewhere), "--format", "json")
    assert done.returncode == 0, done.stderr
    file = elsewhere / "fashion_mnist.npz"
    assert json.loads(done.stdout) == [
        {"name": "fashion_mnist", "status": "written", "file": str(file), "bytes": file.stat().st_size}
    ]
    assert f"wrote {file}; to use it, set HPCNN_DATA={elsewhere}" in done.stderr
    assert list(elsewhere.iterdir()) == [file]
    with np.load(file, allow_pickle=False) as staged:
        assert set(staged) == set(written)
        assert all((staged[key] == written[key]).all() for key in written)


def test_a_download_that_fails_leaves_what_was_there(tmp_path, folder):
    file = write_small_cifar(folder)
    before = file.read_bytes()
    done = keras_process(tmp_path, "cifar10", "--force")
    assert done.returncode == 1
    assert "Error: data stage: 'cifar10' could not be fetched: URL fetch failure on https://" in done.stderr
    assert "Connection refused" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(folder.iterdir()) == [file]
    assert file.read_bytes() == before


def test_a_disk_that_is_full_leaves_nothing_half_written(tmp_path, folder):
    write_keras_cache(tmp_path)
    done = keras_process(tmp_path, "fashion_mnist", blocks="2")
    assert done.returncode == 1
    assert f"{folder / 'fashion_mnist.npz'}: cannot be written: file too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.iterdir())
