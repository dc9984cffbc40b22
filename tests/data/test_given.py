"""What a user's function may return: pairs and triples of arrays; batches in any form are refused by their name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcnn.data.dataset import DataSet
from hpcnn.data.given import data_set_of
from hpcnn.data.registry import load
from hpcnn.data.stream.given import has_numbers
from hpcnn.data.stream.opened import Options
from hpcnn.data.stream.streamed import StreamedSet, source_of
from hpcnn.util.errors import UsageError

X = np.linspace(0, 1, 12).reshape(6, 2)
Y = np.array([1, 0, 2, 0, 1, 2])
W = np.array([1, 2, 3, 4, 5, 6])


def generator() -> Iterator[Any]:
    yield X, Y
    yield X, Y


def refusal(given: Any) -> str:
    with pytest.raises(UsageError) as caught:
        data_set_of("mine:load", given)
    return str(caught.value)


@pytest.mark.parametrize("pair", [tuple, list])
def test_pairs_are_tuples_or_lists(pair: type) -> None:
    data = data_set_of("mine:load", pair([pair([X, Y]), pair([X[:3], Y[:3]])]))
    assert (data.name, data.source, data.samples, data.test_samples) == ("mine:load", "mine:load", 6, 3)
    assert data.train_weights is None
    assert data.test_weights is None


def test_weights_of_samples_are_a_third_array() -> None:
    data = data_set_of("mine:load", ((X, Y, W), (X[:3], Y[:3])))
    assert data.train_weights is not None
    assert data.train_weights.dtype == np.float32
    assert data.train_weights.tolist() == W.tolist()
    assert data.test_weights is None
    both = data_set_of("mine:load", ((X, Y), (X[:3], Y[:3], W[:3] / 2)))
    assert both.train_weights is None
    assert both.test_weights is not None
    assert both.test_weights.tolist() == [0.5, 1.0, 1.5]


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (W[:5], "train_weights is int64 of shape (5,); expected one number for each of the 6 samples, shape (6,)"),
        (np.ones((6, 1)), "train_weights is float64 of shape (6, 1); expected one number for each"),
        (-W, "train_weights is int64 of shape (6,); expected finite weights of at least 0"),
        (W * np.nan, "train_weights is float64 of shape (6,); expected finite weights"),
        (np.full(6, "a"), "train_weights is <U1 of shape (6,); expected one number"),
    ],
)
def test_weights_that_cannot_be(weights: Any, words: str) -> None:
    assert words in refusal(((X, Y, weights), (X, Y)))


def test_several_labels_have_no_weights_of_samples() -> None:
    labels = {"one": Y, "two": Y}
    assert "expected no weights with labels of several arrays" in refusal(((X, labels, W), (X, labels)))


def test_what_is_no_pair_is_said() -> None:
    assert "mine:load returned tuple of 3; expected (x_train, y_train), (x_test, y_test)" in refusal((X, Y, X))
    assert "mine:load returned NoneType; expected" in refusal(None)
    assert "mine:load returned ndarray as its training part" in refusal((X, Y))
    assert "mine:load returned tuple of 4 as its test part" in refusal(((X, Y), (X, Y, W, W)))
    assert "mine:load returned dict of 2; expected" in refusal({"train": (X, Y), "test": (X, Y)})
    assert "mine:load returned ndarray; expected" in refusal(np.zeros((2, 2, 6)))


def test_a_generator_of_two_batches_is_not_training_and_test() -> None:
    text = refusal(generator())
    assert "mine:load returned a generator; expected (x_train, y_train), (x_test, y_test)" in text
    assert "return arrays: np.concatenate of the batches that it yields" in text
    assert "hpcnn.init(): docs/own-script.md" in text
    assert "returned a generator as its test part" in refusal(((X, Y), generator()))
    assert "returned a list_iterator as x of its training part" in refusal(((iter([1, 2]), Y), (X, Y)))
    assert "returned a generator as x of its training part" in refusal((({"a": generator()}, Y), (X, Y)))


def test_a_dataset_of_two_batches_is_not_training_and_test() -> None:
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(3)
    assert len(list(dataset)) == 2
    text = refusal(dataset)
    assert "mine:load returned a tf.data.Dataset; expected" in text
    assert "shapes [(None, 2), (None,)], which are batches; return samples" in refusal((dataset, dataset))
    # what the refusal says to do
    x, y = map(np.stack, zip(*dataset.unbatch().as_numpy_iterator(), strict=True))
    assert (x == X).all()
    assert (y == Y).all()
    assert "map(np.stack, zip(*dataset.unbatch().as_numpy_iterator()))" in text
    assert "returned a NumpyIterator" in refusal((dataset.as_numpy_iterator(), dataset))


def test_a_pydataset_is_not_training_and_test() -> None:
    keras = pytest.importorskip("keras")

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            return X[3 * index : 3 * index + 3], Y[3 * index : 3 * index + 3]

    dataset = Batches()
    text = refusal(dataset)
    assert "mine:load returned a keras.utils.PyDataset; expected" in text
    assert "map(np.concatenate, zip(*(dataset[i] for i in range(len(dataset)))))" in text
    x, y = map(np.concatenate, zip(*(dataset[i] for i in range(len(dataset))), strict=True))
    assert (x == X).all()
    assert (y == Y).all()


def test_a_tensor_is_an_array() -> None:
    tf = pytest.importorskip("tensorflow")
    data = data_set_of("mine:load", ((tf.constant(X), tf.constant(Y)), (X, Y)))
    assert (data.x_train == X).all()


# Taking a part of the set, and expanding it.


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data function ``given_images:load``: 6 images with weights."""
    import sys
    import types

    module = types.ModuleType("given_images")
    pixels = np.random.default_rng(1).integers(0, 256, (6, 5, 5, 1), np.uint8)
    several = np.array([[0, 1], [1, 1], [0, 0], [1, 0], [1, 1], [0, 1]])
    module.load = lambda: ((pixels, Y, W), (pixels[:3], Y[:3], W[:3]))  # type: ignore[attr-defined]
    module.several = lambda: ((pixels, several), (pixels[:3], several[:3]))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "given_images", module)


@pytest.mark.usefixtures("images")
def test_a_part_of_the_samples_keeps_their_weights() -> None:
    data = load("given_images:load", samples=4, test_samples=2)
    assert data.train_weights is not None
    assert data.test_weights is not None
    assert data.train_weights.tolist() == [1, 2, 3, 4]
    assert data.test_weights.tolist() == [1, 2]


@pytest.mark.usefixtures("images")
def test_copies_weigh_what_their_originals_do() -> None:
    more = load("given_images:load", samples=14)
    assert more.train_weights is not None
    assert more.train_weights.tolist() == [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 1, 2]
    assert more.y_train.tolist() == [*Y, *Y, 1, 0]
    doubled = load("given_images:load", samples=4, expand=2)
    assert doubled.train_weights is not None
    assert doubled.train_weights.tolist() == [1, 2, 3, 4, 1, 2, 3, 4]
    assert doubled.y_train.tolist() == [1, 0, 2, 0, 1, 0, 2, 0]


@pytest.mark.usefixtures("images")
def test_copies_have_all_labels_of_their_originals() -> None:
    data = load("given_images:several", samples=8)
    assert data.y_train.shape == (8, 2)
    assert data.y_train[6:].tolist() == data.y_train[:2].tolist()


# Several labels a sample.


def test_integers_of_0_and_1_are_several_labels() -> None:
    several = np.array([[0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    data = DataSet("mine", X, several, X[:2], several[:2])
    assert data.multi_label
    assert not data.regression
    assert (data.classes, data.outputs) == (0, 3)
    assert data.y_train.dtype == np.int64
    assert data.y_train.tolist() == several.tolist()
    assert not DataSet("mine", X, several.astype(float), X[:2], several[:2].astype(float)).multi_label
    assert (
        DataSet("mine", X, several.astype(bool), X[:2], several[:2].astype(bool)).y_train.tolist() == several.tolist()
    )
    assert dataclasses.replace(data, y_train=data.y_train).multi_label


def test_test_samples_may_happen_to_have_one_label_each() -> None:
    several = np.array([[0, 1], [1, 1], [0, 0], [1, 0], [1, 1], [0, 1]])
    assert DataSet("mine", X, several, X[:1], several[:1]).multi_label


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.eye(6, dtype=int), "one-hot labels y become y.argmax(axis=1)"),
        (2 * np.eye(6, dtype=int), "integers of 0 and 1, shape (N, T), for several labels a sample"),
        (np.full((6, 2, 2), "a"), "y_train is <U1 of shape (6, 2, 2); expected integer class numbers"),
    ],
)
def test_other_integers_are_refused(labels: Any, words: str) -> None:
    assert words in refusal(((X, labels), (X, labels)))


def read(data: Any, indices: list[int]) -> tuple[Any, Any]:
    x, y = source_of(data.x_train).read(np.array(indices))
    return x.tolist(), y.tolist()


def test_two_datasets_of_samples_have_the_numbers_in_which_they_come() -> None:
    tf = pytest.importorskip("tensorflow")
    samples = tf.data.Dataset.from_tensor_slices((X, Y, W.astype(np.float32)))
    data = data_set_of("mine:load", (samples, samples.take(3)))
    assert isinstance(data, StreamedSet)
    assert (data.samples, data.test_samples, data.classes) == (6, 3, 3)
    assert not has_numbers(data)
    source = source_of(data.x_train)
    for indices in ([1, 3], [3, 5], [0, 5], [4, 2, 2]):  # later ones, the same again, and from the begin
        x, y, w = source.read(np.array(indices))
        assert (x.tolist(), y.tolist(), w.tolist()) == (X[indices].tolist(), Y[indices].tolist(), W[indices].tolist())


def test_what_a_dataset_cannot_be_is_refused_with_what_works() -> None:
    tf = pytest.importorskip("tensorflow")
    samples = tf.data.Dataset.from_tensor_slices((X, Y))
    endless = refusal((samples.repeat(), samples))
    assert "a tf.data.Dataset of infinite length" in endless
    assert "dataset.take(N)" in endless
    assert "assert_cardinality" in refusal((samples.filter(lambda x, y: y > 0), samples))
    batches = samples.shuffle(6).batch(3, drop_remainder=True).prefetch(1)
    text = refusal((batches, batches))
    assert "shapes [(3, 2), (3,)], which are batches; return samples, and their number N: dataset.unbatch()" in text
    again = batches.unbatch().apply(tf.data.experimental.assert_cardinality(6))  # what the refusal says to do
    assert data_set_of("mine:load", (again, again)).samples == 6
    named = tf.data.Dataset.from_tensor_slices(({"a": X, "b": X}, Y))
    assert "are tuples of several arrays, an array" in refusal((named, named))
    assert "return ({'a': x1, 'b': x2}, y)" in refusal((named, named))
    ragged = tf.data.Dataset.from_generator(
        lambda: iter([(X[0], 1)]), output_signature=(tf.TensorSpec((None,)), tf.TensorSpec((), tf.int32))
    )
    assert "expected samples of one shape: resize or pad them" in refusal((ragged, ragged))


def test_a_bad_element_is_replaced_without_beginning_anew() -> None:
    tf = pytest.importorskip("tensorflow")
    begun = []

    def samples() -> Iterator[Any]:
        begun.append(1)
        for number, (x, y) in enumerate(zip(X, Y, strict=True)):
            yield np.where(number == 2, np.nan, x), y

    signature = (tf.TensorSpec((2,), tf.float64), tf.TensorSpec((), tf.int64))
    dataset = tf.data.Dataset.from_generator(samples, output_signature=signature)
    dataset = dataset.map(lambda x, y: (tf.debugging.check_numerics(x, "not finite"), y))
    counted = dataset.apply(tf.data.experimental.assert_cardinality(6))
    data = data_set_of("mine:load", (counted, counted), Options(skip_bad=1))
    source = source_of(data.x_train)
    source.rewind()
    before = len(begun)
    for indices, seen in (([0, 1], [0, 1]), ([2, 3], [3, 3]), ([4, 5], [4, 5])):
        assert source.read(np.array(indices))[0].tolist() == X[seen].tolist()
    assert len(begun) == before + 1


def test_an_element_that_fails_is_named_without_the_words_of_the_graph() -> None:
    tf = pytest.importorskip("tensorflow")

    def checked(x: Any, y: Any) -> Any:
        with tf.control_dependencies([tf.debugging.assert_less(y, tf.constant(2, Y.dtype), "too large")]):
            return x, tf.identity(y)

    failing = tf.data.Dataset.from_tensor_slices((X, Y)).map(checked)
    text = refusal((failing, failing))
    assert text.startswith("--data: sample 2 (mine:load, element 2): cannot be made: ")
    assert "too large" in text
    assert "{{" not in text
    short = tf.data.Dataset.from_tensor_slices((X, Y)).take(4).apply(tf.data.experimental.assert_cardinality(6))
    assert "element 4): cannot be made: Input dataset was expected to contain 6 elements" in refusal((short, short))


def test_two_pydatasets_are_read_by_number() -> None:
    keras = pytest.importorskip("keras")

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            return X[4 * index : 4 * index + 4], Y[4 * index : 4 * index + 4]

    data = data_set_of("mine:load", (Batches(), Batches()))
    assert data.samples == 6
    assert read(data, [5, 0, 3]) == (X[[5, 0, 3]].tolist(), Y[[5, 0, 3]].tolist())


def test_batches_of_a_pydataset_have_weights_and_one_size() -> None:
    keras = pytest.importorskip("keras")

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __init__(self, *parts: Any, missing: int = 0) -> None:
            super().__init__()
            self.parts, self.missing = parts, missing

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            last = 2 * index + 2 - (self.missing if index == 1 else 0)
            return tuple(part[2 * index : last] for part in self.parts)

    data = data_set_of("mine:load", (Batches(X, Y, W), Batches(X, Y, W)))
    assert source_of(data.x_train).read(np.array([5, 0]))[2].tolist() == [6, 1]
    uneven = refusal((Batches(X, Y, missing=1), Batches(X, Y)))
    assert "batch 1 of mine:load has float64 (1, 2), int64 (1,); expected float64 (2, 2), int64 (2,)" in uneven
    assert "a batch of mine:load is (an array,); expected (x, y)" in refusal((Batches(X), Batches(X)))

    class Endless(Batches):
        num_batches = None

    assert "returned a PyDataset without end" in refusal((Endless(X, Y), Batches(X, Y)))


def test_arrays_on_disk_stay_there(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    data = data_set_of("mine:load", ((x, Y), (x, Y)))
    assert isinstance(data, StreamedSet)
    assert read(data, [2, 1]) == (X[[2, 1]].tolist(), Y[[2, 1]].tolist())
    assert not isinstance(data_set_of("mine:load", ((X, Y), (X, Y))), StreamedSet)
    beside = data_set_of("mine:load", ((x, Y.tolist()), (X, Y)))  # labels in a list, a test set in memory
    assert isinstance(beside, StreamedSet)
    assert read(beside, [5]) == (X[[5]].tolist(), Y[[5]].tolist())


def test_the_very_array_of_the_features_is_to_be_predicted_wherever_it_is(tmp_path: Path) -> None:
    pictures = np.arange(6 * 5 * 5, dtype=np.uint8).reshape(6, 5, 5, 1)

    class Own:
        def __len__(self) -> int:
            return 6

        def read(self, indices: Any) -> Any:
            x = pictures[indices]
            return x, x

    file = tmp_path / "x.npy"
    np.save(file, pictures)
    x = np.load(file, mmap_mode="r")
    in_memory = data_set_of("mine:load", ((pictures, pictures), (pictures, pictures)))
    read_by_name = load(f"npy:{file},{file}")
    for data in (
        in_memory,
        read_by_name,
        *(data_set_of("mine:load", given) for given in (((x, x),) * 2, (Own(),) * 2)),
    ):
        assert (data.kind, data.classes) == ("images", 0)


def test_a_file_that_is_closed_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "file.h5", "w") as file:
        x = file.create_dataset("x", data=X)
    assert "an array of HDF5 is closed: leave its file open" in refusal(((x, Y), (x, Y)))


def test_an_object_that_reads_by_number() -> None:
    class Own:
        def __len__(self) -> int:
            return 6

        def read(self, indices: Any) -> Any:
            return X[indices], Y[indices]

    data = data_set_of("mine:load", (Own(), Own()))
    assert (data.samples, data.classes) == (6, 3)
    assert read(data, [4, 2]) == (X[[4, 2]].tolist(), Y[[4, 2]].tolist())

    class Wrong(Own):
        def read(self, indices: Any) -> Any:
            return X[:1], Y[:1]

    assert "read() of mine:load returned features of float64 (1, 2) for 6 samples" in refusal((Wrong(), Wrong()))

    class Torn(Own):
        def read(self, indices: Any) -> Any:
            if 4 in indices:
                raise OSError("the tape is torn")
            return super().read(indices)

    text = "--data: sample 4 (mine:load, number 4): read() raised OSError: the tape is torn"
    assert refusal((Torn(), Own())).startswith(text)
    assert data_set_of("mine:load", (Torn(), Own()), Options(skip_bad=1)).samples == 6

    class Masked(Own):
        def read(self, indices: Any) -> Any:
            return np.ma.masked_less(X[indices], 0.5), Y[indices]

    assert "read() of mine:load returned a masked array; expected an array without a mask" in refusal((Masked(), Own()))

    class ByIndex:
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int) -> Any:
            return X[index], Y[index]

    assert "returned a ByIndex without read(indices), which returns (x, y)" in refusal((ByIndex(), ByIndex()))


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, np.full(6, "cat"), "np.unique(y, return_inverse=True)[1] makes numbers of names"),
        (X, Y > 0, "y.astype(int) makes classes of it"),
        (X > 0, Y, "x.astype(np.float32) makes numbers of it"),
        (X.astype(complex), Y, "np.stack([x.real, x.imag], axis=-1)"),
        (X.astype("datetime64[s]"), Y, "np.timedelta64(1, 'D')"),
        (np.array([X[0], X], dtype=object), Y[:2], "pad samples of several lengths"),
        (np.ma.masked_less(X, 0.5), Y, "expected an array without a mask, or what is under the mask would be learnt"),
        ([X, X], Y, "the features are a list of 2 arrays; several inputs are a tuple or a dictionary"),
    ],
)
def test_what_is_no_number_is_refused_with_what_makes_numbers_of_it(x: Any, y: Any, words: str) -> None:
    assert words in refusal(((x, y), (x, y)))
