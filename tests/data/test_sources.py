"""A user's own data: an .npz file, a function of a module, and what is said where they cannot be used."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from hpcnn.data.registry import file_of, load
from hpcnn.util.errors import UsageError
from tests.data.data_arrays import arrays, images, labels

# --- files


def test_an_npz_path_is_read(tmp_path):
    file = tmp_path / "mine.npz"
    np.savez(file, **arrays())
    data = load(str(file))
    assert (data.x_train == images(6)).all()
    assert (data.y_test == labels(3)).all()
    assert data.source == str(file)
    assert file_of(str(file)) == file


def test_missing_keys_are_named(tmp_path):
    file = tmp_path / "mine.npz"
    np.savez(file, x_train=images(6), labels=labels(6))
    with pytest.raises(
        UsageError, match=r"lacks y_train, x_test, y_test; found x_train, labels; expected x_train, y_train"
    ):
        load(str(file))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"--data: '.*none\.npz' is not valid; expected an \.npz file"):
        load(str(tmp_path / "none.npz"))


def test_pickled_objects_are_refused(tmp_path):
    file = tmp_path / "objects.npz"
    np.savez(file, **arrays(x_train=np.array([{"a": 1}] * 6, dtype=object)))
    with pytest.raises(UsageError, match=r"objects\.npz cannot be read as plain arrays: Object arrays"):
        load(str(file))


def test_a_file_that_was_cut_off(tmp_path):
    file = tmp_path / "cut.npz"
    np.savez(file, **arrays())
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(UsageError, match=r"expected a readable and whole \.npz file"):
        load(str(file))


def test_a_file_whose_bytes_are_damaged(tmp_path):
    file = tmp_path / "damaged.npz"
    np.savez(file, **arrays())
    content = bytearray(file.read_bytes())
    content[200] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"cannot be read as plain arrays: Bad CRC-32"):
        load(str(file))


# --- functions

MODULE = """
import numpy as np
from hpcnn.data.dataset import DataSet

x = np.linspace(0, 1, 12).reshape(6, 2)
y = np.array([0, 1, 2, 0, 1, 2])

def pairs():
    return (x, y), (x[:3], y[:3])

def ready():
    return DataSet("ready", x, y, x, y, notes=("made here",))

def wrong():
    return x, y

number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module in the working directory."""
    name = f"module_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_broken.py").write_text("import a_module_that_does_not_exist\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def test_a_function_gives_pairs(module):
    data = load(f"{module}:pairs", samples=4)
    assert data.x_train.shape == (4, 2)
    assert data.y_test.tolist() == [0, 1, 2]
    assert data.source == f"{module}:pairs"
    assert file_of(f"{module}:pairs") is None


def test_a_function_gives_a_data_set(module):
    data = load(f"{module}:ready", test_samples=2)
    assert data.name == "ready"
    assert data.notes == ("made here", "the first 2 of 6 test samples")


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        (":wrong", "returned ndarray as its training part; expected (x_train, y_train), (x_test, y_test)"),
        (":number", "has no function 'number'"),
        (":pears", "has no function 'pears'"),
        ("_absent:pairs", "ModuleNotFoundError: No module named"),
    ],
)
def test_a_function_that_cannot_be_used(module, suffix, words):
    with pytest.raises(UsageError) as caught:
        load(module + suffix)
    assert f"{module}{suffix}" in str(caught.value)
    assert words in str(caught.value)


def test_an_import_that_fails_within_the_users_module_is_named_with_its_line(module):
    fault = "No module named 'a_module_that_does_not_exist'"
    expected = rf"cannot import '{module}_broken': ModuleNotFoundError: {fault} \({module}_broken.py:1\)"
    with pytest.raises(UsageError, match=expected):
        load(f"{module}_broken:pairs")
