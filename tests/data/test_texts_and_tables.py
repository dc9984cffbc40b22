"""IMDB, Reuters and the housing sets against Keras's own loaders, the digits in halves, and what is refused.

The files are made here, in the format of Keras's own. The loaders of Keras run as they are, but for the download.
"""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from hpcnn.data.dataset import DataSet
from hpcnn.data.registry import load
from hpcnn.data.sequences import concatenated
from hpcnn.data.staging import stage
from hpcnn.specs.fields import from_mapping, given
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.zoo.catalogue import default_model, describe, known
from hpcnn.zoo.registry import RECIPES

keras = pytest.importorskip("keras")

RANDOM = np.random.default_rng(4)


def texts(count, classes):
    """Return lists of numbers of words from 1 on, as Keras's files hold them, and labels sorted by class."""
    lists = np.empty(count, object)
    for number in range(count):
        lists[number] = RANDOM.integers(1, 60, RANDOM.integers(1, 30)).tolist()
    return lists, np.sort(RANDOM.integers(0, classes, count))


def write(folder, name):
    file = folder / f"{name}.npz"
    if name == "imdb":
        (x_train, y_train), (x_test, y_test) = texts(50, 2), texts(20, 2)
        np.savez(file, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    elif name == "reuters":
        x, y = texts(60, 46)
        np.savez(file, x=x, y=y)
    else:
        features = describe(name).shape[0]
        x = RANDOM.normal(3, 2, (50, features))
        np.savez(file, x=x, y=x[:, 0] + (200_000 if name == "california_housing" else 20))
    return file


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HPCNN_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def keras_loads(monkeypatch):
    """Return a function: what Keras's loader of a name gives for a file that it believes to have downloaded."""

    def loads(name, file, **options):
        module = importlib.import_module(f"keras.src.datasets.{name}")
        monkeypatch.setattr(module, "get_file", lambda *arguments, **keywords: str(file))
        return getattr(keras.datasets, name).load_data(**options)

    return loads


@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_sequences_are_keras_own_padded(name, folder, keras_loads):
    (x_train, y_train), (x_test, y_test) = keras_loads(name, write(folder, name), num_words=40)
    data = load(name, arguments={"words": 40, "length": 12, "form": "sequence"})
    for mine, theirs in ((data.x_train, x_train), (data.x_test, x_test)):
        assert (mine == keras.utils.pad_sequences(theirs, maxlen=12)).all()
        assert mine.dtype == np.int32
    assert (data.y_train == y_train).all()
    assert (data.y_test == y_test).all()
    assert data.tokens
    assert data.classes == describe(name).classes
    assert "the last 12 words of each text, padded in front; numbers of words below 40" in data.notes


def test_a_bag_says_which_words_a_text_has(folder, keras_loads):
    (x_train, _), _ = keras_loads("reuters", write(folder, "reuters"), num_words=40)
    data = load("reuters", arguments={"words": 40})
    assert data.x_train.shape == (48, 40)
    assert [set(np.flatnonzero(row)) for row in data.x_train] == [set(text) for text in x_train]
    assert (data.tokens, data.pixel_scale) == (False, 1.0)


@pytest.mark.parametrize("name", ["imdb", "reuters", "boston_housing", "california_housing"])
def test_a_staged_set_is_the_one_in_keras_file(name, tmp_path, monkeypatch, keras_loads):
    file = write(tmp_path, name)
    monkeypatch.setenv("HPCNN_DATA", str(tmp_path))
    before = load(name)
    keras_loads(name, file)
    staged = stage(name, tmp_path / "staged")
    assert staged.status == "written"
    with np.load(staged.file, allow_pickle=False) as content:
        assert not any(content[key].dtype.hasobject for key in content)
    monkeypatch.setenv("HPCNN_DATA", str(tmp_path / "staged"))
    after = load(name)
    for part in ("x_train", "y_train", "x_test", "y_test"):
        assert (getattr(before, part) == getattr(after, part)).all()


def test_texts_of_different_lengths_become_plain_arrays():
    words, lengths = concatenated([[1, 2], [], [3]])
    assert (words.tolist(), lengths.tolist()) == ([1, 2, 3], [2, 0, 1])


class _Runs:
    def __reduce__(self):
        return print, ("a pickle has run this",)


def test_a_file_that_would_run_something_is_refused(folder, capsys):
    objects = np.empty(2, object)
    objects[:] = [_Runs(), _Runs()]
    np.savez(folder / "imdb.npz", x_train=objects, y_train=[0, 1], x_test=objects, y_test=[0, 1])
    with pytest.raises(UsageError, match=r"imdb\.npz cannot be read as Keras's imdb\.npz: it holds builtins\.print"):
        load("imdb")
    assert "a pickle" not in capsys.readouterr().out


def test_housing_is_keras_own_standardized_by_the_training_set(folder, keras_loads):
    (x_train, y_train), (x_test, y_test) = keras_loads("boston_housing", write(folder, "boston_housing"))
    raw = load("boston_housing", arguments={"standardize": False})
    assert np.allclose(raw.x_train, x_train)
    assert np.allclose(raw.y_test, y_test)
    data = load("boston_housing")
    assert np.allclose(data.x_train, (x_train - x_train.mean(axis=0)) / x_train.std(axis=0), atol=1e-5)
    assert np.allclose(data.x_test, (x_test - x_train.mean(axis=0)) / x_train.std(axis=0), atol=1e-5)
    assert data.y_train.dtype == np.float32
    assert np.allclose(data.y_train, y_train)
    assert (data.regression, data.classes, data.outputs) == (True, 0, 1)
    assert "features standardized: mean 0, standard deviation 1 over the whole training set" in data.notes


def test_prices_in_dollars_become_units_of_100000(folder):
    write(folder, "california_housing")
    data = load("california_housing")
    assert np.allclose(data.y_train, 2.0, atol=1e-3)
    assert "prices in units of 100,000 dollars" in data.notes


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("imdb", {"word": 3}, "--data-arg of data set 'imdb': 'word' is not known. Did you mean 'words'?"),
        ("imdb", {"words": 3}, "--data-arg words: 3 is not valid; expected a whole number of at least 4"),
        ("imdb", {"length": 0}, "--data-arg length: 0 is not valid"),
        ("reuters", {"form": "bags"}, "--data-arg form: 'bags' is not known. Did you mean 'bag'?"),
        ("boston_housing", {"standardize": "often"}, "expected true or false"),
        (
            "digits",
            {"words": 9},
            "--data-arg: 'words' is not valid; expected no value: data set 'digits' has no options",
        ),
        ("halves", {"of": "cifar10"}, "--data-arg of: 'cifar10' is not known"),
    ],
)
def test_options_that_cannot_be(name, options, words, folder):
    with pytest.raises(UsageError) as caught:
        load(name, arguments=options)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["imdb", "reuters", "boston_housing", "california_housing"])
def test_a_set_that_is_absent_says_how_to_stage_it(name, folder):
    with pytest.raises(UsageError, match=f"'hpcnn data stage {name}' on a login node"):
        load(name)


def test_a_table_with_other_columns_is_refused(folder):
    np.savez(folder / "boston_housing.npz", x=np.ones((10, 8)), y=np.ones(10))
    with pytest.raises(UsageError, match=r"a sample has shape \(8,\); expected \(13,\)"):
        load("boston_housing")


# Several arrays.


def test_halves_are_the_digits():
    whole, data = load("digits"), load("halves", samples=100)
    assert (np.concatenate([data.x_train["upper"], data.x_train["lower"]], axis=1) == whole.x_train[:100]).all()
    assert (data.y_train["odd"] == whole.y_train[:100] % 2).all()
    assert data.classes == data.outputs == {"digit": 10, "odd": 2}
    assert data.input_shape == {"upper": (14, 28, 1), "lower": (14, 28, 1)}
    assert (data.samples, data.pixel_scale) == (100, 255.0)


X, Y = np.ones((6, 2), np.float32), np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"x_train": {"a": X, "b": X[:5]}, "x_test": {"a": X, "b": X}},
            "x_train['b'] is float32 of shape (5, 2); expected",
        ),
        ({"x_train": (X, X)}, "x_test has one array; expected what x_train has, 2 arrays"),
        (
            {"y_train": {"p": Y, "q": Y - 1}, "y_test": {"p": Y, "q": Y}},
            "y_train['q'] is int64 of shape (6,); expected labels from 0",
        ),
        ({"y_train": np.full(6, np.nan)}, "y_train is float64 of shape (6,); expected finite numbers"),
        ({"y_train": Y / 2}, "y_test is int64 of shape (6,); expected samples like those of y_train, which is float32"),
        ({"tokens": True}, "x_train is float32 of shape (6, 2); expected whole numbers of words"),
    ],
)
def test_what_is_wrong_with_several_arrays_is_said(changes, words):
    with pytest.raises(UsageError) as caught:
        DataSet("mine", **{"x_train": X, "y_train": Y, "x_test": X, "y_test": Y, **changes})
    assert words in str(caught.value)


def test_several_arrays_are_never_expanded():
    with pytest.raises(UsageError, match="--samples: 5000 is not valid; expected 1 to 1437"):
        load("halves", samples=5000)


# The network of a data set.


def test_every_data_set_has_a_network_of_the_zoo():
    assert {default_model(name) for name in known()} <= set(RECIPES)
    assert [default_model(name) for name in ("digits", "imdb", "cifar100", "mine.npz", "my:data")] == [
        "scinet-cnn1",
        "imdb-embedding",
        "wolter-cifar10-cnn",
        "scinet-cnn1",
        "scinet-cnn1",
    ]


@pytest.mark.parametrize("model", [None, "scinet-cnn1", "imdb-conv1d", "imdb-embedding"])
def test_a_spec_is_the_same_after_the_command_line_of_what_was_given(model):
    """A job script names what differs from the defaults, and the default of the model depends on the data."""
    spec = TrainSpec(data="imdb", **({"model": model} if model else {}))
    assert spec.model == (model or "imdb-embedding")
    assert from_mapping(TrainSpec, given(spec)) == spec
